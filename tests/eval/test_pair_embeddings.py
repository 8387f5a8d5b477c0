"""The published figures of a pair set, with a known function in place of a network."""

from arcface_mxnet.eval.pair_embeddings import embed_pair_set, verification_scores
from arcface_mxnet.eval.pair_sets import PairSet
from arcface_mxnet.eval.protocols import verify_pairs
import cv2
import numpy as np
import pytest


class Corners:
    """Embeds an image by its corner pixels; flipped images swap left and right."""

    def plain_and_flipped(self, images):
        images = np.stack(list(images)).astype(np.float32)
        return images[:, 0, 0] + 1, images[:, 0, -1] + 1


def pair_set(num_pairs=40):
    rng = np.random.default_rng(0)
    images = []
    flags = np.arange(num_pairs) % 2 == 0
    for flag in flags:
        left = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        right = left if flag else rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        images += [cv2.imencode(".png", image)[1].tobytes() for image in (left, right)]
    return PairSet(images, flags)


def test_the_embedding_is_the_sum_and_xnorm_the_mean_norm():
    pairs = pair_set()
    plain, flipped = Corners().plain_and_flipped(pairs.decoded())
    embeddings = embed_pair_set(Corners(), pairs)
    norms = [np.linalg.norm(row) for row in np.concatenate([plain, flipped])]
    assert embeddings.xnorm == pytest.approx(np.mean(norms))
    np.testing.assert_array_equal(embeddings.flip_sum, plain + flipped)
    scores = verification_scores(Corners(), pairs, folds=5)
    both = plain + flipped
    assert scores.result == verify_pairs(both[0::2], both[1::2], pairs.is_genuine, folds=5)
    assert (scores.accuracy, scores.std) == (scores.result.accuracy, scores.result.std)
    assert scores.xnorm == embeddings.xnorm
    assert scores.accuracy > 0.9  # genuine pairs are the same image


def test_images_are_scaled_when_a_size_is_given():
    seen = []

    class Sizes(Corners):
        def plain_and_flipped(self, images):
            images = list(images)
            seen.extend(image.shape for image in images)
            return super().plain_and_flipped(images)

    embed_pair_set(Sizes(), pair_set(2), (8, 8))
    assert set(seen) == {(8, 8, 3)}


def test_an_image_of_several_pairs_is_embedded_once_and_stands_in_all():
    pairs = pair_set(4)
    a, b, c = pairs.images[1], pairs.images[3], pairs.images[5]
    shared = PairSet([c, a, a, b, c, c], [False, False, True])
    seen = []

    class Counting(Corners):
        def plain_and_flipped(self, images):
            seen.extend(images)
            return super().plain_and_flipped(seen)

    embeddings = embed_pair_set(Counting(), shared)
    plain, flipped = Corners().plain_and_flipped(shared.decoded())
    np.testing.assert_array_equal(embeddings.plain, plain)
    np.testing.assert_array_equal(embeddings.flipped, flipped)
    assert len(seen) == 3

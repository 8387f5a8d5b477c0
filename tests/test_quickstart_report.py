"""The scores that the quickstart's table and picture are made of are cosines."""

from pathlib import Path
import runpy

from arcface_mxnet.embedder import ImageEmbedder
from arcface_mxnet.eval.pair_sets import PairSet
import cv2
import numpy as np
import pytest

REPORT = runpy.run_path(str(Path(__file__).parents[1] / "recipes" / "quickstart_report.py"))


class Colours(ImageEmbedder):
    """Embeds an image as its mean colour, whatever its length."""

    def forward(self, batch):
        return batch.mean(axis=(2, 3))


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (8, 6, 3), dtype=np.uint8) // (1 + i) for i in range(8)]
    encoded = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    return PairSet(encoded, np.array([True, False, True, False])), images


def cosine(left, right):
    return left @ right / np.linalg.norm(left) / np.linalg.norm(right)


def test_scores_are_cosines_of_vectors_of_any_length(pairs):
    pair_set, images = pairs
    grey = [image.mean(axis=2).ravel() for image in images]
    expected = [cosine(*grey[i : i + 2]) for i in range(0, 8, 2)]
    assert REPORT["pixel_cosines"](pair_set) == pytest.approx(expected, abs=1e-5)
    means = [image[:, :, ::-1].mean(axis=(0, 1)) for image in images]
    expected = [cosine(*means[i : i + 2]) for i in range(0, 8, 2)]
    embedder = Colours(batch_size=4, flip=True, normalize=False)
    assert REPORT["embedding_cosines"](embedder, pair_set) == pytest.approx(expected, abs=1e-5)

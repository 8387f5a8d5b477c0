from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.face import Face
from arcface_mxnet.align.template import template
from arcface_mxnet.embedder import ImageEmbedder
from arcface_mxnet.face_model import FaceModel, NoFaceError
import numpy as np
import pytest


class MarkDetector:
    """Finds one face per image whose first pixel is not black, at a fixed place."""

    landmarks = template() * 1.5 + 20
    trust = None

    def detect(self, image):
        if not np.any(image[0, 0]):
            return []
        far = Face(np.array([0.0, 0, 9, 9]), template() / 10, 0.999)
        return [far, Face(np.array([40.0, 40, 200, 200]), self.landmarks, 0.9)]


class MeanEmbedder(ImageEmbedder):
    """Embeds a crop as its mean colour (RGB); counts the images of each pass."""

    def __init__(self, batch_size=4):
        super().__init__(batch_size, flip=False, normalize=False)
        self.passes = []

    def forward(self, batch):
        self.passes.append(len(batch))
        return batch.mean((2, 3))


def photo(seed, mark=1):
    image = np.random.default_rng(seed).integers(0, 256, (240, 240, 3)).astype(np.uint8)
    image[0, 0] = mark
    return image


def test_embeds_the_aligned_crop_of_the_main_face_in_rgb():
    image = photo(1)
    image[..., 0] = 0  # no blue
    embedding = FaceModel(MarkDetector(), MeanEmbedder()).embed(image)
    crop = align_face(image, MarkDetector.landmarks)
    expected = crop[..., ::-1].mean((0, 1))
    assert np.allclose(embedding, expected / np.linalg.norm(expected), atol=1e-6)
    assert embedding[2] == 0 and embedding.dtype == np.float32


def test_no_face_is_an_error_of_its_own():
    with pytest.raises(NoFaceError, match="no face found in an image of 240x240"):
        FaceModel(MarkDetector(), MeanEmbedder()).embed(photo(1, mark=0))


def test_embed_many_batches_and_marks_images_without_a_face():
    model = FaceModel(MarkDetector(), MeanEmbedder(batch_size=2))
    marks = [1, 0, 1, 1, 0, 1, 1, 0]
    images = [photo(seed, mark) for seed, mark in enumerate(marks)]
    embeddings = list(model.embed_many(images))
    assert [embedding is not None for embedding in embeddings] == [bool(mark) for mark in marks]
    assert model.embedder.passes == [2, 2, 1]
    for image, embedding in zip(images, embeddings, strict=True):
        if embedding is not None:
            assert np.allclose(embedding, model.embed(image), atol=1e-6)


def test_embed_many_of_nothing_is_nothing():
    assert list(FaceModel(MarkDetector(), MeanEmbedder()).embed_many([])) == []

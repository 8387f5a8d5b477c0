"""A batch of photos, some of which fail."""

from types import SimpleNamespace

from arcface_mxnet.face_model import FaceModel
from arcface_mxnet.serve.photos import Photo
from arcface_mxnet.serve.recognizer import Found, Recognizer
from arcface_mxnet.serve.refusal import Refusal
import numpy as np


def unit(rgb_nhwc):
    """Return an embedding (N, 2) that tells how bright a crop is."""
    means = rgb_nhwc.reshape(len(rgb_nhwc), -1).mean(axis=1) / 255
    return np.stack([means, np.sqrt(1 - means**2)], axis=1).astype(np.float32)


def test_a_fault_in_one_photo_leaves_the_others_alone(find):
    def detect(bgr):
        if bgr.shape[0] == 7:
            raise RuntimeError("out of memory")
        return find(bgr)

    recognizer = Recognizer(FaceModel(SimpleNamespace(detect=detect, trust=None), unit))
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (200, 160, 3), dtype=np.uint8),
        np.zeros((7, 7, 3), np.uint8),
        np.zeros((200, 160, 3), np.uint8),  # no face
        rng.integers(0, 90, (200, 160, 3), dtype=np.uint8),
    ]
    answers = recognizer([Photo(image, 160, 200) for image in images])
    assert [type(answer) for answer in answers] == [Found, RuntimeError, Refusal, Found]
    for answer in (answers[0], answers[3]):
        np.testing.assert_allclose(answer.embedding, unit(answer.crop[None])[0], rtol=1e-5)

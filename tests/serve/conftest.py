"""The service with a tiny detector and a tiny network: everything else is the real thing."""

from pathlib import Path
from types import SimpleNamespace

from arcface_mxnet import serve
from arcface_mxnet.align.face import Face
from arcface_mxnet.face_model import FaceModel
from arcface_mxnet.serve.app import Settings, create_app
from arcface_mxnet.serve.gate import Access
from arcface_mxnet.serve.limits import Limits
from arcface_mxnet.serve.people import People
from arcface_mxnet.serve.recognizer import Recognizer
import cv2
from fastapi.testclient import TestClient
import numpy as np
import pytest

WEB = Path(serve.__file__).parent / "web"
FACE = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.38, 0.7], [0.62, 0.7]])  # 0..1


def detect(bgr):
    """Find a face, always in the same place, in any photo that is not of one colour."""
    height, width = bgr.shape[:2]
    if bgr.std() < 1:
        return []
    box = np.array([0.2, 0.2, 0.8, 0.8]) * [width, height, width, height]
    return [Face(box.astype(np.float32), (FACE * [width, height]).astype(np.float32), 0.9)]


def embed(rgb_nhwc):
    """Return the crops reduced to 4x4 colours, less their mean (N, 48)."""
    rows = np.stack([cv2.resize(crop, (4, 4), interpolation=cv2.INTER_AREA) for crop in rgb_nhwc])
    rows = rows.reshape(len(rows), -1).astype(np.float32)
    return rows - rows.mean(axis=1, keepdims=True)


def person(number, noise=0):
    """Return a photo (200, 160, 3) BGR of a "person", another one for another noise."""
    blocks = np.random.default_rng(number).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    photo = blocks.repeat(40, axis=0).repeat(40, axis=1).astype(int)
    photo += np.random.default_rng(noise).integers(-20, 21, photo.shape)
    return photo.clip(0, 255).astype(np.uint8)


def encoded(bgr, suffix=".png"):
    return cv2.imencode(suffix, bgr)[1].tobytes()


@pytest.fixture
def photo():
    """Return the function photo(number, noise=0) -> PNG bytes."""
    return lambda number, noise=0: encoded(person(number, noise))


@pytest.fixture
def find():
    """Return the tiny detector."""
    return detect


@pytest.fixture
def make_app(tmp_path):
    """Return a function that makes the application; the store stays between calls."""
    stores = []

    def make(access=Access(hosts=frozenset()), detect=detect, **limits):  # noqa: B008
        recognizer = Recognizer(FaceModel(SimpleNamespace(detect=detect, trust=None), embed))
        limits = Limits(**limits)
        for store in stores:
            store.close()
        stores.append(
            People(tmp_path / "people.sqlite", recognizer.probe(), limits.enrolled, "print")
        )
        settings = Settings(0.6, "tiny", WEB, limits, access)
        return create_app(recognizer, stores[-1], settings)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def client(make_app):
    with TestClient(make_app()) as client:
        yield client

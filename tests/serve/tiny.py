"""A tiny detector and a tiny network, and the real service around them in a process of its own.

python -m tests.serve.tiny STORE [SECONDS [BUSY [TOKEN]]]     prints its address

SECONDS: that a request has.  BUSY: that a photo takes.  TOKEN: demanded.
"""

from __future__ import annotations

from pathlib import Path
import sys
import time
from types import SimpleNamespace

from arcface_mxnet import serve
from arcface_mxnet.align.face import Face
from arcface_mxnet.face_model import FaceModel
from arcface_mxnet.serve import access
from arcface_mxnet.serve.access import Access
from arcface_mxnet.serve.app import create_app
from arcface_mxnet.serve.limits import Limits
from arcface_mxnet.serve.people import People
from arcface_mxnet.serve.recognizer import Recognizer
from arcface_mxnet.serve.server import listen
from arcface_mxnet.serve.server import serve as serve_until_signal
from arcface_mxnet.serve.settings import Settings
import cv2
import numpy as np

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


def made(store, limits, *, detect=detect, embed=embed, access=Access(hosts=frozenset())):  # noqa: B008
    """Return the application and its people."""
    recognizer = Recognizer(
        FaceModel(SimpleNamespace(detect=detect, trust=None), embed), limits.faces
    )
    people = People(store, recognizer.model_print({"network": "tiny"}), limits.enrolled)
    settings = Settings(0.6, "tiny", WEB, limits, access)
    return create_app(recognizer, people, settings), people


def main(store, seconds=30.0, busy=0.0, token=""):
    limits = Limits(seconds=float(seconds), header_seconds=2)

    def slowly(bgr):
        time.sleep(float(busy))
        return detect(bgr)

    access.FIRST_PAUSE = 0  # whoever tries this one has no time to wait after wrong tokens
    app, people = made(store, limits, detect=slowly, access=Access(token, frozenset()))
    listening = listen("127.0.0.1", 0, 100)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    serve_until_signal(app, people, limits, listening)


if __name__ == "__main__":
    main(*sys.argv[1:])

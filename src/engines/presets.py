"""Published families of face networks, and what their ONNX files are fed, with the source.

Each states size, alignment, colour, mean and scale as the code of its authors does it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..registry import Registry
from .model_input import ARCFACE, BOX, Declaration

PRESETS = Registry("preset", "--preset")


@dataclass(frozen=True)
class Preset:
    """declared: what its networks are fed.  source: where its authors do so."""

    declared: Declaration
    source: str


def _preset(name: str, size: int, color: str, mean: float, scale: float, template: str, source):
    declared = Declaration(
        size=(size, size), color=color, mean=(mean,), scale=(scale,), template=template
    )
    PRESETS.register(name)(Preset(declared, source))


_preset(
    "insightface", 112, "rgb", 127.5, 127.5, ARCFACE,
    "insightface/model_zoo/arcface_onnx.py: the zoo's recognition models and arcface_torch; a "
    "graph that subtracts and multiplies itself is fed raw pixels, as there",
)  # fmt: skip
_preset(
    "adaface", 112, "bgr", 127.5, 127.5, ARCFACE,
    "mk-minchul/AdaFace inference.py, to_input: ((x / 255) - 0.5) / 0.5 of BGR",
)  # fmt: skip
_preset(
    "sface", 112, "rgb", 0.0, 1.0, ARCFACE,
    "OpenCV modules/objdetect/src/face_recognize.cpp, FaceRecognizerSF::feature: raw RGB",
)  # fmt: skip
_preset(
    "facenet", 160, "rgb", 127.5, 128.0, BOX,
    "timesler/facenet-pytorch models/mtcnn.py, fixed_image_standardization; the detector's box, "
    "not aligned by landmarks",
)  # fmt: skip

"""A detected face, and the choice of one among several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Face:
    """box: (4,) x1, y1, x2, y2; landmarks: (5, 2) x, y: left eye, right eye, nose, left and
    right mouth corner, as seen in the image; float32, pixels, (0, 0) is the centre of the first.
    score: 0..1, higher is surer.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float


def main_face(faces: Sequence[Face], shape: tuple[int, ...]) -> Face:
    """Return the large and central face of an image of that shape (H, W, ...).

    It has the greatest area less twice the squared distance of its centre from the image's.
    Raises ValueError if there is none.  Source: the published packing of CFP and AgeDB.
    """
    centre = np.array([shape[1], shape[0]]) / 2

    def prominence(face: Face) -> float:
        low, high = face.box[:2], face.box[2:]
        return float((high - low).prod() - 2 * (((low + high) / 2 - centre) ** 2).sum())

    return max(faces, key=prominence)

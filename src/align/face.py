"""A detected face, and the choice of one among several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Face:
    """box: (4,) x1, y1, x2, y2; landmarks: (5, 2) x, y: left eye, right eye, nose, left and
    right mouth corner, as seen in the upright image; float32, pixels, (0, 0) is the centre of the
    first.  score: 0..1, higher is surer.

    turn: 0, 90, 180 or 270 degrees by which the image must be turned counterclockwise for the face
    to be upright; box and landmarks are in the image as it is.  doubts: why it may be no face, or
    not where it seems, in words; detectors know of none, trust.find_faces does.
    """

    box: np.ndarray
    landmarks: np.ndarray
    score: float
    turn: int = 0
    doubts: tuple[str, ...] = ()

    @property
    def is_uncertain(self) -> bool:
        """Tell whether anything speaks against it."""
        return bool(self.doubts)


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

"""How one MegaFace or FaceScrub photo becomes a crop: the published order of attempts.

1. with three known landmarks, not all in one place: warp them to the middle of a canvas twice
   the crop's size, and detect there
2. detect in the photo, and take the face that overlaps the known box by more than 0.3
3. let the last network find landmarks in the known box, if it is surer than 0.3
4. cut the box out, or without one the photo less 6 % on each side; not aligned
Source: the original align_megaface.py and align_facescrub.py.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import cv2
import numpy as np

from ..align.boxes import overlaps
from ..align.crop import align_face, crop_box
from ..align.detectors import Detector
from ..align.face import main_face
from ..align.similarity import fit_similarity
from ..align.template import template

CANVAS_SCALE, CANVAS_SHIFT = 1.5, 28.0  # template to canvas, pixels
CANVAS_SIZE = 2  # times the crop
MIN_OVERLAP = 0.3
MIN_SIZE_SHARE = 4  # smallest face looked for: the photo's height / 4
ATTEMPTS = ("canvas", "photo", "box", "cut")


@dataclass(frozen=True, eq=False)
class Hint:
    """What the data set knows: box (4,) x1, y1, x2, y2 and landmarks (3, 2) x, y (left eye,
    right eye, nose as seen in the photo), pixels, or None."""

    box: np.ndarray | None = None
    landmarks: np.ndarray | None = None


def crop_with_hint(
    detector: Detector, bgr: np.ndarray, hint: Hint, size: tuple[int, int]
) -> tuple[np.ndarray, str]:
    """Return (crop, attempt): BGR uint8 (height, width, 3), and which of ATTEMPTS it came from.

    size: (height, width).  Raises ValueError if the box lies outside the photo.
    """
    if hint.landmarks is not None and len(np.unique(hint.landmarks, axis=0)) > 1:
        canvas = _canvas(bgr, hint.landmarks, size)
        faces = _with_min_size(detector, size[0]).detect(canvas)
        if faces:
            face = main_face(faces, canvas.shape)
            return align_face(canvas, face.landmarks, size), "canvas"
    min_size = max(1, bgr.shape[0] // MIN_SIZE_SHARE)
    faces = _with_min_size(detector, min_size).detect(bgr)
    if hint.box is not None:
        near = [overlaps(hint.box[None], face.box[None]).item() for face in faces]
        faces = [face for face, share in zip(faces, near, strict=True) if share > MIN_OVERLAP]
    if faces:
        return align_face(bgr, main_face(faces, bgr.shape).landmarks, size), "photo"
    if hint.box is not None:
        face = detector.detect_in_box(bgr, hint.box)
        if face is not None:
            return align_face(bgr, face.landmarks, size), "box"
    return crop_box(bgr, hint.box, size), "cut"


def _canvas(bgr: np.ndarray, landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    target = template(size)[:3] * CANVAS_SCALE + CANVAS_SHIFT
    matrix = fit_similarity(landmarks, target)
    return cv2.warpAffine(bgr, matrix, (CANVAS_SIZE * size[1], CANVAS_SIZE * size[0]))


def _with_min_size(detector: Detector, min_size: int) -> Detector:
    """Return the same networks looking for faces of another size, in pixels."""
    other = copy.copy(detector)
    other.min_size = min_size
    return other

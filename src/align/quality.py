"""How good a face is to recognise: numbers with units, and bounds on them.

Sources: variance of the Laplacian as a measure of blur: Pech-Pacheco et al., ICPR 2000; the
quantities are those of ISO/IEC 29794-5 (resolution, sharpness, exposure, pose), simply measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from .crop import align_face
from .face import Face

# Eyes, nose and mouth corners of a mean adult face, millimetres, x to the right in the image, y
# down, z away from the viewer; rounded from anthropometric means (Farkas, 1994: distance of the
# pupils 63, of the mouth corners 51, of the nose's tip from the line of the eyes 42).
MEAN_FACE = np.array(
    [(-31.5, -33, 20), (31.5, -33, 20), (0, 9, -12), (-25.5, 37, 8), (25.5, 37, 8)], float
)
_FIT = np.linalg.pinv(MEAN_FACE - MEAN_FACE.mean(0))  # (3, 5), of the least squares
DARK, BRIGHT = 8, 247  # grey levels, 0..255, at and beyond which nothing is told apart


@dataclass(frozen=True)
class Quality:
    """eye_distance: pixels of the photo.  sharpness: variance of the Laplacian of the aligned grey
    crop, squared grey levels; higher is sharper.  brightness: mean grey level of the crop, 0..255.
    clipped: fraction of its pixels that are all dark or all bright.  yaw, pitch, roll: degrees,
    0 looks into the camera: yaw > 0 to the right of the image, pitch > 0 down, roll > 0 clockwise;
    rough estimates of five landmarks.  score: the detector's.
    """

    eye_distance: float
    sharpness: float
    brightness: float
    clipped: float
    yaw: float
    pitch: float
    roll: float
    score: float

    def as_dict(self) -> dict[str, float]:
        """Return the numbers by name, rounded for tables and JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class QualityBounds:
    """What a face must reach; None bounds nothing.  Units as in Quality."""

    min_eye_distance: float | None = None
    min_sharpness: float | None = None
    max_clipped: float | None = None
    max_yaw: float | None = None
    max_pitch: float | None = None
    min_score: float | None = None

    def faults(self, quality: Quality) -> Iterator[str]:
        """Yield each bound that a face does not keep, in words."""
        for name, bound in asdict(self).items():
            kind, _, quantity = name.partition("_")
            value = getattr(quality, quantity)
            if bound is None or (value >= bound if kind == "min" else abs(value) <= bound):
                continue
            words = "below" if kind == "min" else "beyond"
            yield f"{quantity.replace('_', ' ')} {value:.3g} {words} {bound:g}"


def quality(bgr: np.ndarray, face: Face, size: tuple[int, int] = (112, 112)) -> Quality:
    """Return the quality of a face in an image uint8 BGR (H, W, 3).

    size: (height, width) of the crop that is looked at.  Raises ValueError as align_face.
    """
    return quality_of_crop(align_face(bgr, face.landmarks, size), face)


def quality_of_crop(crop: np.ndarray, face: Face) -> Quality:
    """Return the quality of a face.  crop: its aligned one, uint8 BGR (H, W, 3)."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    yaw, pitch, roll = pose(face.landmarks)
    return Quality(
        eye_distance=float(np.linalg.norm(face.landmarks[1] - face.landmarks[0])),
        sharpness=float(cv2.Laplacian(grey, cv2.CV_64F).var()),
        brightness=float(grey.mean()),
        clipped=float(((grey <= DARK) | (grey >= BRIGHT)).mean()),
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        score=face.score,
    )


def pose(landmarks: np.ndarray) -> tuple[float, float, float]:
    """Return yaw, pitch, roll in degrees of landmarks (5, 2), as Quality means them.

    The scaled orthographic view of MEAN_FACE that comes nearest in least squares, made a rotation.
    """
    points = np.asarray(landmarks, float) - np.mean(landmarks, 0)
    rows = (_FIT @ points).T  # (2, 3): s times two rows of R
    left, scales, right = np.linalg.svd(rows, full_matrices=False)
    if scales[1] <= 1e-9:
        return 0.0, 0.0, 0.0  # all points on one line: no face has such a pose
    x, y = left @ right
    z = np.cross(x, y)
    # R = roll about z, times yaw about y, times pitch about x; the face looks along -z.
    yaw = np.degrees(np.arcsin(np.clip(z[0], -1, 1)))
    pitch = np.degrees(np.arctan2(z[1], z[2]))
    roll = np.degrees(np.arctan2(y[0], x[0]))
    return float(yaw), float(pitch), float(roll)

"""Augmentations that put something on the face: a mask, glasses.

They are drawn where the template of aligned crops has eyes, nose and mouth, so they fit crops that
are aligned; and before anything moves the face.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...align.template import SIZES, template
from . import AUGMENTATIONS

ROUND = 0.7  # of lenses: 1 is an ellipse, 0 a rectangle
SHIFT = 4  # OpenCV draws at whole 2 ** -SHIFT of a pixel
CLOTHS = (  # RGB of what masks are made of
    (120, 170, 205), (200, 220, 230), (235, 235, 235), (30, 30, 35), (150, 190, 160),
)  # fmt: skip


@AUGMENTATIONS.register("mask")
def mask(
    image: np.ndarray, rng: np.random.Generator, share: float, *, mask_top: tuple[float, ...]
) -> np.ndarray:
    """Put a mask over mouth and chin of a share of the images."""
    if rng.random() >= share:
        return image
    cloth = np.array(CLOTHS[rng.integers(len(CLOTHS))]) + rng.integers(-20, 21, 3)
    return masked(image, rng.uniform(mask_top[0], mask_top[-1]), cloth.clip(0, 255))


@AUGMENTATIONS.register("glasses")
def glasses(
    image: np.ndarray, rng: np.random.Generator, share: float, *, glasses_tint: tuple[float, ...]
) -> np.ndarray:
    """Put glasses on a share of the images."""
    if rng.random() >= share:
        return image
    tint = rng.uniform(glasses_tint[0], glasses_tint[-1])
    frame = rng.integers(10, 80) + rng.integers(-8, 9, 3)
    return bespectacled(image, tint, frame, rng.uniform(0.9, 1.1))


def face_points(height: int, width: int) -> np.ndarray:
    """Return eyes, nose and mouth corners, float64 (5, 2), (x, y), of an aligned crop.

    Raises ValueError for one whose sides are in another proportion than those of SIZES.
    """
    for size in SIZES:
        if height * size[1] == width * size[0]:
            return (template(size) + 0.5) * (height / size[0]) - 0.5
    allowed = " or ".join(f"{high}:{wide}" for high, wide in SIZES)
    raise ValueError(
        f"--mask and --glasses: the crops are {height}x{width} (height x width); where the face "
        f"lies is known where they are {allowed}"
    )


def masked(image: np.ndarray, top: float, cloth: np.ndarray) -> np.ndarray:
    """Return a copy with a mask.

    top: of its upper edge at the nose, 0 where the eyes are, 1 where the mouth is.  cloth: RGB.
    """
    height, width = image.shape[:2]
    points = face_points(height, width)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - eyes  # the unit of length
    side = np.array([down[1], -down[0]])  # to the right

    def at(right: float, below: float) -> np.ndarray:
        return eyes + right * side + below * down

    half = [
        (0, top), (0.14, top + 0.05), (0.45, top + 0.24), (0.84, top + 0.33), (0.80, 1.0),
        (0.66, 1.28), (0.40, 1.50), (0, 1.60),
    ]  # fmt: skip
    shape = _drawn([at(x, y) for x, y in half] + [at(-x, y) for x, y in half[-2:0:-1]])
    image = image.copy()
    dark, light = (np.clip(cloth * factor, 0, 255).tolist() for factor in (0.8, 1.0))
    pixel = height / 112
    for sign in (-1, 1):  # the straps
        for below, beyond in ((top + 0.36, top + 0.1), (1.0, 0.75)):
            ends = [at(sign * 0.8, below), at(sign * 1.6, beyond)]
            cv2.polylines(image, [_drawn(ends)], False, light, _thick(pixel), cv2.LINE_AA, SHIFT)
    cv2.fillPoly(image, [shape], light, cv2.LINE_AA, SHIFT)
    cv2.polylines(image, [shape], True, dark, _thick(pixel), cv2.LINE_AA, SHIFT)
    for share in (0.35, 0.55, 0.75):  # the folds
        below = top + share * (1.6 - top)
        fold = [at(-0.6, below - 0.02), at(0, below + 0.06), at(0.6, below - 0.02)]
        cv2.polylines(image, [_drawn(fold)], False, dark, _thick(pixel), cv2.LINE_AA, SHIFT)
    return image


def bespectacled(image: np.ndarray, tint: float, frame: np.ndarray, size: float) -> np.ndarray:
    """Return a copy with glasses.

    tint: of the lenses, 0 clear, 1 black.  frame: its colour, RGB.  size: 1 of usual glasses.
    """
    height, width = image.shape[:2]
    points = face_points(height, width)
    across = points[1] - points[0]  # from eye to eye
    apart, pixel = float(np.hypot(*across)), height / 112
    half = (0.43 * apart * size, 0.34 * apart * size)
    tilt = np.stack([across, [-across[1], across[0]]]) / apart  # unit vectors along and down
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    oval = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    oval = np.sign(oval) * np.abs(oval) ** ROUND * half
    lenses = [_drawn(eye + oval @ tilt) for eye in points[:2]]
    glass = image.copy()
    cv2.fillPoly(glass, lenses, (12, 12, 14), cv2.LINE_AA, SHIFT)
    image = cv2.addWeighted(glass, tint, image, 1 - tint, 0)
    color, thick = frame.tolist(), _thick(1.4 * pixel)
    cv2.polylines(image, lenses, True, color, thick, cv2.LINE_AA, SHIFT)
    unit = tilt[0]
    bridge_and_arms = [
        _drawn([points[0] + unit * half[0], points[1] - unit * half[0]]),
        _drawn([points[0] - unit * half[0], points[0] - unit * apart]),
        _drawn([points[1] + unit * half[0], points[1] + unit * apart]),
    ]
    cv2.polylines(image, bridge_and_arms, False, color, thick, cv2.LINE_AA, SHIFT)
    return image


def _drawn(points: list | np.ndarray) -> np.ndarray:
    """Return points (N, 2) as OpenCV's drawing functions take them with SHIFT."""
    return np.round(np.array(points) * (1 << SHIFT)).astype(np.int32)


def _thick(pixels: float) -> int:
    return max(round(pixels), 1)

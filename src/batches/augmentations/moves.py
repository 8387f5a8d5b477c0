"""Augmentations that move the face in its crop."""

from __future__ import annotations

import cv2
import numpy as np

from . import AUGMENTATIONS


@AUGMENTATIONS.register("rotate")
def rotate(
    image: np.ndarray, rng: np.random.Generator, share: float, *, rotate_degrees: tuple[float, ...]
) -> np.ndarray:
    """Turn a share of the images around the centre, either way."""
    if rng.random() >= share:
        return image
    degrees = rng.uniform(rotate_degrees[0], rotate_degrees[-1])
    return rotated(image, degrees if rng.random() < 0.5 else -degrees)


@AUGMENTATIONS.register("rand_mirror")
def mirror(image: np.ndarray, rng: np.random.Generator, _: int) -> np.ndarray:
    """Flip half of the images."""
    return cv2.flip(image, 1) if rng.random() < 0.5 else image


@AUGMENTATIONS.register("rand_shift")
def shift(image: np.ndarray, rng: np.random.Generator, most: int) -> np.ndarray:
    """Move by up to so many pixels in x and y, the edge repeated."""
    down, right = (int(rng.integers(-most, most, endpoint=True)) for _ in range(2))
    return shifted(image, down, right)


def rotated(image: np.ndarray, degrees: float) -> np.ndarray:
    """Return the image turned counter-clockwise around its centre, bilinear, the edge repeated."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(
        image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return the image moved by whole pixels, the edge repeated where it came from outside."""
    height, width = image.shape[:2]
    down, right = max(-height, min(down, height)), max(-width, min(right, width))
    around = (max(down, 0), max(-down, 0), max(right, 0), max(-right, 0))
    wide = cv2.copyMakeBorder(image, *around, cv2.BORDER_REPLICATE)
    top, left = max(-down, 0), max(-right, 0)
    return wide[top : top + height, left : left + width]

"""Augmentations that cover a part of the image: cutoff, and rectangles of any colour."""

from __future__ import annotations

import math

import numpy as np

from . import AUGMENTATIONS

FILL = 128  # grey value of the blanked square.  Source: the published iterator.
ERASE_ASPECT = (0.3, 1 / 0.3)  # height / width.  Source: random erasing, arXiv 1708.04896.


@AUGMENTATIONS.register("cutoff")
def cutoff(image: np.ndarray, rng: np.random.Generator, side: int) -> np.ndarray:
    """Blank a square of this side in half of the images."""
    image, drawn = draw_cutoff(image, rng, side)
    return blanked(image, *drawn["square"]) if drawn else image


def draw_cutoff(
    image: np.ndarray, rng: np.random.Generator, side: int
) -> tuple[np.ndarray, dict[str, tuple[int, int, int]]]:
    """Return the image as it is, and in half of the cases what blanked() shall be called with."""
    if rng.random() >= 0.5:
        return image, {}
    # One by one these are the numbers that integers((height, width)) gives, and faster.
    y, x = int(rng.integers(image.shape[0])), int(rng.integers(image.shape[1]))
    return image, {"square": (y, x, side)}


@AUGMENTATIONS.register("erase")
def erase(
    image: np.ndarray, rng: np.random.Generator, share: float, *, erase_area: tuple[float, ...]
) -> np.ndarray:
    """Cover a rectangle of a share of the images with one colour, drawn for each."""
    if rng.random() >= share:
        return image
    height, width = image.shape[:2]
    area = rng.uniform(erase_area[0], erase_area[-1]) * height * width
    aspect = math.exp(rng.uniform(*map(math.log, ERASE_ASPECT)))
    # One that would be longer than the crop becomes wider instead: its area is what was asked for.
    aspect = min(max(aspect, area / width**2), height**2 / area)
    rows = max(round(math.sqrt(area * aspect)), 1)
    columns = max(round(math.sqrt(area / aspect)), 1)
    top, left = rng.integers((height - rows + 1, width - columns + 1)).tolist()
    image = _own(image)
    image[top : top + rows, left : left + columns] = rng.integers(0, 256, 3)
    return image


def blanked(image: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    """Return the image with a grey square of 2 * (side // 2) pixels around (y, x), clipped."""
    half = side // 2
    image = _own(image)
    image[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = FILL
    return image


def _own(image: np.ndarray) -> np.ndarray:
    """Return an image that may be written into: float32 is what colour made, a copy of others."""
    return image if image.dtype == np.float32 else image.copy()

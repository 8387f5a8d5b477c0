"""Crops of a folder, to compare or calibrate a network with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.folders import find_images
from ..data.images import read_image


def read_crops(folder: str | Path, size: tuple[int, int], *, limit: int) -> np.ndarray:
    """Return up to `limit` images of a folder, found at any depth, as (N, H, W, 3) uint8 RGB.

    size: (height, width).  Taken evenly over the sorted names, so over the people too.
    Raises FileNotFoundError or ValueError as find_images and read_image do, and ValueError for
    an image of another size.
    """
    paths = find_images(folder)
    chosen = np.linspace(0, len(paths) - 1, min(limit, len(paths))).astype(int)
    return np.stack([_read_crop(paths[i], size) for i in chosen])


def _read_crop(path: Path, size: tuple[int, int]) -> np.ndarray:
    image = read_image(path)
    if image.shape[:2] != size:
        raise ValueError(
            f"{path}: {image.shape[0]},{image.shape[1]} pixels, not {size[0]},{size[1]}: "
            "align the photos first"
        )
    return image[:, :, ::-1]

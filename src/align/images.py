"""Photographs in: any file or array becomes (H, W, 3) uint8 in BGR order."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Return the image of a file, (H, W, 3) uint8 BGR, turned as its EXIF orientation says.

    Grey becomes three equal channels, transparency is dropped, 16 bit becomes 8.
    Raises FileNotFoundError, or ValueError that names the file if it is no readable image.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image file {path.absolute()}")
    return decode_image(path.read_bytes(), str(path))


def decode_image(data: bytes, name: str = "image") -> np.ndarray:
    """Return the image of encoded bytes as read_image does; name stands in the message."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise ValueError(f"{name}: cannot be decoded ({error.err})") from None
    if bgr is None:
        raise ValueError(f"{name}: no image that OpenCV can decode ({len(data)} bytes)")
    return bgr


def as_bgr(image: np.ndarray) -> np.ndarray:
    """Return an array as (H, W, 3) uint8 BGR.

    image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16; colours BGR or BGRA.
    Raises ValueError for anything else, an empty image included.
    """
    image = np.asarray(image)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError(f"image of {image.dtype}: give uint8 (0..255) or uint16")
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.size == 0:
        raise ValueError(f"image of shape {image.shape}: give (H, W), or (H, W, C), C = 1, 3 or 4")
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def find_images(folder: str | os.PathLike) -> list[Path]:
    """Return all image files below a folder, sorted by path, hidden ones left out.

    Raises FileNotFoundError if the folder is absent, ValueError if it holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder.absolute()}")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not paths:
        raise ValueError(f"{folder}: no image below it ({' '.join(EXTENSIONS)})")
    return paths

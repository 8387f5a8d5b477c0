"""The one image reader: bytes, files and arrays become uint8 (H, W, 3), of one size if asked."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

GREY, COLOR, AS_STORED = cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED  # 0, 1, -1


def decode_bgr(
    data: bytes, name: str = "image", *, cure: str = "", mode: int = COLOR
) -> np.ndarray:
    """Return the image of encoded bytes, (H, W, 3) uint8 BGR, turned as its EXIF orientation
    says.  name: the image in messages.  cure: what to do about it, the end of the message.

    Grey becomes three equal channels, transparency is dropped, 16 bit becomes 8.  mode: GREY gives
    (H, W); AS_STORED turns and converts nothing.
    Raises ValueError that begins with name and ends with cure if the bytes are no readable image.
    """
    image, reason = None, ""
    try:
        if data:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        reason = f" ({error.err})"
    if image is None:
        raise ValueError(
            f"{name}: {len(data)} bytes that are no image that OpenCV can decode{reason}"
            + (f"; {cure}" if cure else "")
        )
    return image


def decode_rgb(data: bytes, name: str = "image", *, cure: str = "") -> np.ndarray:
    """Return the image of encoded bytes as decode_bgr does, but in RGB order."""
    image = decode_bgr(data, name, cure=cure)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Return the image of a file as decode_bgr does.

    Raises FileNotFoundError, or ValueError that names the file if it is no readable image.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image file {path.absolute()}")
    return decode_bgr(path.read_bytes(), str(path))


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


def fit_height(image: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """Return the image resized to shape (height, width) if its height differs, uint8.

    As published: the shorter side is brought to the wanted height, bicubic; nothing is
    cropped.  Raises ValueError if the result still has another shape.
    """
    if image.shape[0] != shape[0]:
        height, width = image.shape[:2]
        short = min(height, width)
        size = (shape[0] * width // short, shape[0] * height // short)
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    if image.shape[:2] != shape:
        raise ValueError(
            f"{name}: is {image.shape[1]} wide and {image.shape[0]} high after resizing, not "
            f"{shape[1]}x{shape[0]}; give --image-size or property the size of the crops, or "
            "pack them at that size (face2rec2.py --fit)"
        )
    return image

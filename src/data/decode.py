"""Encoded image bytes to RGB arrays of one size, as training sees them."""

from __future__ import annotations

import cv2
import numpy as np


def decode_rgb(payload: bytes, name: str) -> np.ndarray:
    """Return the image in the bytes, RGB uint8 (H, W, 3).

    name is what the image is called in the message.  Raises ValueError if it does not decode.
    """
    image = None
    if payload:
        image = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(
            f"{name}: {len(payload)} bytes that are no image; find all such records with "
            "`python -m arcface_mxnet.data.rec check FOLDER` and pack the file again without them"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


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


def recompress(image: np.ndarray, quality: int) -> np.ndarray:
    """Return the image after JPEG compression of quality 0..100, RGB uint8 (H, W, 3)."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return decode_rgb(encoded.tobytes(), "re-compressed image")

"""JPEG compression as a change of training images."""

from __future__ import annotations

import cv2
import numpy as np

from ..data.images import decode_rgb


def recompress(image: np.ndarray, quality: int) -> np.ndarray:
    """Return the image after JPEG compression of quality 0..100, RGB uint8 (H, W, 3)."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return decode_rgb(encoded.tobytes(), "re-compressed image")

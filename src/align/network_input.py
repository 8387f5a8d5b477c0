"""Parts of an image as the detector's networks take them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

MEAN, SCALE = 127.5, 1 / 128
MOST_BEYOND = 16  # areas of the image that a box may have; in a larger one nothing can be seen


def cut(bgr: np.ndarray, box: np.ndarray, size: int) -> np.ndarray:
    """Return the image in a box of whole numbers, black beyond its edges, size x size.

    box: x1, y1, x2, y2, both corners inside.
    """
    height, width = bgr.shape[:2]
    left, top, right, bottom = (int(side) for side in np.asarray(box) + (0, 0, 1, 1))
    part = bgr[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    area = (bottom - top) * (right - left)
    if part.size == 0 or area > MOST_BEYOND * height * width:
        return np.zeros((size, size, 3), np.uint8)
    beyond = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(beyond):
        part = cv2.copyMakeBorder(part, *beyond, cv2.BORDER_CONSTANT)
    return cv2.resize(part, (size, size))


def normalised(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return images of one size, BGR, as the networks want them: float32 (N, 3, H, W)."""
    return cv2.dnn.blobFromImages(images, SCALE, mean=(MEAN, MEAN, MEAN))

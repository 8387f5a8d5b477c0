"""Crops of the published size: aligned by landmarks, or cut by a box where there are none."""

from __future__ import annotations

import cv2
import numpy as np

from .similarity import similarity_transform

BOX_MARGIN = 44  # pixels added to a box, half on each side.  Source: the published alignment.
LARGEST = 32766  # pixels, longest side that cv2.warpAffine takes
CENTRE_CUT = 0.0625  # share of the image cut from each side where there is no box.  Likewise.


def align_face(
    image: np.ndarray, landmarks: np.ndarray, size: tuple[int, int] = (112, 112)
) -> np.ndarray:
    """Return the aligned crop, dtype and channels of the image, (height, width, ...).

    image: (H, W) or (H, W, C), any colour order.  landmarks: (5, 2), (x, y) in its pixels.
    size: (height, width).  Bilinear; black where the image ends, and farther than 16383 pixels
    from the landmarks.
    Raises ValueError as similarity_transform does, for an empty image, and for landmarks farther
    than that from it.
    """
    matrix = similarity_transform(landmarks, size)
    height, width = image.shape[:2]
    corner = np.mean(landmarks, 0) - LARGEST // 2
    if image.size == 0 or (corner >= (width, height)).any() or (corner <= -LARGEST).any():
        raise ValueError(
            f"landmarks around {np.mean(landmarks, 0).round().tolist()} are no face of an image "
            f"of {width}x{height}"
        )
    x, y = np.maximum(corner, 0).astype(int)
    matrix[:, 2] += matrix[:, :2] @ (x, y)
    part = image[y : y + LARGEST, x : x + LARGEST]  # the whole image, but for giants
    return cv2.warpAffine(part, matrix, (size[1], size[0]), borderValue=0)


def crop_box(
    image: np.ndarray,
    box: np.ndarray | None = None,
    size: tuple[int, int] = (112, 112),
    margin: int = BOX_MARGIN,
) -> np.ndarray:
    """Return the image within a box, widened by margin and resized to size, unaligned.

    box: x1, y1, x2, y2 in pixels; None takes the centre of the image.  margin: pixels, half
    on each side.  Raises ValueError if nothing of the image lies in the box.
    """
    height, width = image.shape[:2]
    if box is None:
        x, y = int(width * CENTRE_CUT), int(height * CENTRE_CUT)
        box = (x, y, width - x, height - y)
    if not np.isfinite(box).all():
        raise ValueError(f"box {list(map(float, box))} holds numbers that are not finite")
    half = margin / 2
    left, top = int(max(box[0] - half, 0)), int(max(box[1] - half, 0))
    right, bottom = int(min(box[2] + half, width)), int(min(box[3] + half, height))
    if left >= right or top >= bottom:
        raise ValueError(f"box {tuple(map(int, box))} lies outside the image {width}x{height}")
    return cv2.resize(image[top:bottom, left:right], (size[1], size[0]))

"""The five reference points that every aligned crop shares."""

from __future__ import annotations

import numpy as np

from ..cli import parse_size

# Left eye, right eye, nose, left and right mouth corner, as seen in the image; (x, y) in
# pixels of a crop 96 wide and 112 high.  Source: the published alignment.
TEMPLATE_112X96 = (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
)
# As published: the 112x112 crop is the 112x96 one with 8 pixels more on either side.
SQUARE_SHIFT_X = 8.0

SIZES = ((112, 112), (112, 96))  # (height, width)


def template(size: tuple[int, int] = (112, 112)) -> np.ndarray:
    """Return the reference points float64 (5, 2), (x, y) in pixels, of a crop.

    size: (height, width), one of SIZES.  Raises ValueError for another.
    """
    if tuple(size) not in SIZES:
        allowed = " and ".join(f"{height},{width}" for height, width in SIZES)
        raise ValueError(
            f"crop size {size}: the reference points are known for height,width {allowed}"
        )
    points = np.array(TEMPLATE_112X96)
    if tuple(size) == (112, 112):
        points[:, 0] += SQUARE_SHIFT_X
    return points


def crop_size(text: str) -> tuple[int, int]:
    """Return (height, width) of "112,112".  Raises ValueError unless it is one of SIZES."""
    size = parse_size(text)
    template(size)
    return size

"""Images and batches brought to few sizes.

Engines prepare themselves for every size of an image or batch, and keep that without bound; so
tiles are put into larger ones of few sizes, and batches are filled up.  What is added changes
nothing: it lies above and to the left of a tile, an even number of pixels, so that the grid of the
cells and the lower and right border stay where they were.
"""

from __future__ import annotations

import numpy as np

SIDES = (16, 32, 48, 64, 80, 96, 128, 160, 192, 224, 256)  # pixels, of tiles; or one more


def enlarged(tile: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return a tile (H, W, C) at the lower right of a larger one, and the pixels before it (y, x).

    Its sides are of SIDES, or one more where the tile's are odd.  Raises ValueError for a tile
    that is larger than these.
    """
    height, width = tile.shape[:2]
    top, left = _side(height) - height, _side(width) - width
    if not top and not left:
        return tile, (0, 0)
    larger = np.zeros((height + top, width + left, *tile.shape[2:]), tile.dtype)
    larger[top:, left:] = tile
    return larger, (top, left)


def filled_up(batch: np.ndarray) -> np.ndarray:
    """Return a batch with rows of zeros added, up to the next power of two."""
    rows = 1 << (len(batch) - 1).bit_length()
    if rows == len(batch):
        return batch
    return np.concatenate([batch, np.zeros((rows - len(batch), *batch.shape[1:]), batch.dtype)])


def _side(side: int) -> int:
    fitting = [size for size in SIDES if size >= side - side % 2]
    if not fitting:
        raise ValueError(f"a side of {side} pixels; tiles have at most {SIDES[-1] + 1}")
    return fitting[0] + side % 2

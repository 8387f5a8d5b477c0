"""Arithmetic on boxes: float (N, 4) of x1, y1, x2, y2 in pixels, both corners inside.

As published, a box from 3 to 5 is 3 pixels wide.
"""

from __future__ import annotations

import numpy as np

NMS_BLOCK = 256  # boxes compared at once, so that memory stays small for many of them


def sides(boxes: np.ndarray) -> np.ndarray:
    """Return widths and heights, (N, 2)."""
    return boxes[:, 2:] - boxes[:, :2] + 1


def overlaps(first: np.ndarray, second: np.ndarray, *, by_smaller: bool = False) -> np.ndarray:
    """Return the shared area (N, M) as a fraction of the union, or of the smaller box."""
    shared = _shared_side(first, second, 0)
    shared *= _shared_side(first, second, 1)
    areas, other_areas = sides(first).prod(1)[:, None], sides(second).prod(1)[None]
    if by_smaller:
        return shared / np.minimum(areas, other_areas)
    return shared / (areas + other_areas - shared)


def _shared_side(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
    """Return how much of x (axis 0) or y (1) two boxes share, (N, M)."""
    side = np.minimum(first[:, None, axis + 2], second[None, :, axis + 2])
    side -= np.maximum(first[:, None, axis], second[None, :, axis])
    side += 1
    return np.maximum(side, 0, out=side)


def suppress(
    boxes: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    *,
    by_smaller: bool = False,
    most: int | None = None,
) -> np.ndarray:
    """Return the indices of the boxes that remain, best score first, `most` of them at most.

    A box goes if it overlaps a better one that remains by more than threshold.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[np.ndarray] = []
    while order.size and (most is None or sum(map(len, kept)) < most):
        block, order = order[:NMS_BLOCK], order[NMS_BLOCK:]
        near = overlaps(boxes[block], boxes[block], by_smaller=by_smaller) > threshold
        remains = np.ones(len(block), bool)
        for i in range(len(block)):
            if remains[i]:
                remains[i + 1 :] &= ~near[i, i + 1 :]
        block = block[remains]
        kept.append(block)
        if order.size:
            near = overlaps(boxes[block], boxes[order], by_smaller=by_smaller) > threshold
            order = order[~near.any(0)]
    return np.concatenate(kept)[:most] if kept else np.zeros(0, int)


def refine(boxes: np.ndarray, regression: np.ndarray) -> np.ndarray:
    """Return the boxes with their corners moved by regression (N, 4), in sides of the box."""
    return boxes + regression * np.tile(sides(boxes), 2)


def square(boxes: np.ndarray) -> np.ndarray:
    """Return squares about the same centres, as long as the longer side, corners rounded."""
    size = sides(boxes)
    longest = size.max(1, keepdims=True)
    low = boxes[:, :2] + (size - longest) / 2
    return np.rint(np.hstack([low, low + longest - 1]))

"""The label in an image's record, a float32, as the number of an identity."""

from __future__ import annotations

import numpy as np

MOST = 1 << 24  # identities: every whole number below it is a float32 of its own


def whole_numbers(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the identities that labels, float32 (N,), say, int64 (N,), and which of them are
    identities at all: whole, from 0 on and below MOST; the others are -1."""
    is_whole = (labels >= 0) & (labels < MOST)
    is_whole &= np.floor(labels) == labels
    return np.where(is_whole, labels, -1).astype(np.int64), is_whole


def refuse_too_many(count: int, where: object) -> None:
    """Raise ValueError for more identities than labels can tell apart."""
    if count > MOST:
        raise ValueError(
            f"{where}: {count} identities; above {MOST:,} the record format, whose labels are "
            "float32, cannot say who it is; split the identities into several datasets"
        )

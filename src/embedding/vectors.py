"""Rows of unit length, and squared distances and cosines between rows: numpy alone."""

from __future__ import annotations

import numpy as np


def unit_rows(vectors: np.ndarray, dtype: type | None = None) -> np.ndarray:
    """Return rows of length 1, float (N, D); a row of zeros stays zero.

    dtype: what is computed in and returned; None is the vectors' own type.
    """
    vectors = np.asarray(vectors, dtype)
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    # Of these the squares are too small or too large for their type.
    odd = ~np.isfinite(lengths) | (lengths < 64 * np.finfo(lengths.dtype).tiny ** 0.5)
    if odd.any():
        peaks = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
        peaks[~(odd & (peaks > 0) & np.isfinite(peaks))] = 1
        vectors = vectors / peaks
        lengths = np.where(odd, np.linalg.norm(vectors, axis=1, keepdims=True), lengths)
    lengths[~(lengths > 0)] = 1
    return vectors / lengths


def refuse_zeros(vectors: np.ndarray, what: str, rows_each: int = 1) -> None:
    """Raise ValueError that names the first of rows (N, D) that is nothing but zeros.

    what: that has so many rows each, such as "pair" with two.
    """
    is_some = vectors.any(axis=1)
    if not is_some.all():
        raise ValueError(
            f"an embedding of {what} {int(np.argmin(is_some)) // rows_each} holds nothing but "
            "zeros: it has no direction, so it can be compared with nothing"
        )


def squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return squared L2 distances of rows as they are, float64 (n,), lower is nearer.

    left, right: float (n, D), or one of them (1, D).  They are elementwise operations and a sum
    of D terms in a fixed order, so a pair has one distance however it is batched, and in both
    directions.
    """
    difference = left.astype(np.float64)
    if len(left) < len(right):
        difference = np.repeat(difference, len(right), axis=0)
    difference -= right
    return np.square(difference, out=difference).sum(axis=1)


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    """Return the cosine of two unit vectors (D,), within [-1, 1] whatever rounding says.

    Raises ValueError if it is not finite: one of them is no embedding.
    """
    value = float(np.dot(np.asarray(left, np.float64), np.asarray(right, np.float64)))
    if not np.isfinite(value):
        raise ValueError("an embedding is NaN or infinite; it can be compared with nothing")
    return min(max(value, -1.0), 1.0)


def cosines_of(distances: np.ndarray) -> np.ndarray:
    """Return the cosines, float64, that belong to squared L2 distances of unit vectors."""
    return 1.0 - np.asarray(distances, np.float64) / 2.0

"""Rows of unit length, and squared distances and cosines between rows: numpy alone."""

from __future__ import annotations

import numpy as np


def unit_rows(vectors: np.ndarray, dtype: type | None = None) -> np.ndarray:
    """Return rows of length 1, float (N, D); a row of zeros stays zero.

    dtype: what is computed in and returned; None is the vectors' own type.
    """
    vectors = np.asarray(vectors, dtype)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[~(lengths > 0)] = 1
    return vectors / lengths


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

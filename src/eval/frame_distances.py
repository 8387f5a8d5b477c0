"""Distances between sets of images, such as the frames of two videos."""

from __future__ import annotations

import numpy as np

from .protocols import unit_distances

# As published: mode 1 is mean-feature; the others take the distances of all pairs of frames.
DISTANCES = ("mean-feature", "least", "mean", "greatest")


def set_distances(
    units: np.ndarray, starts: np.ndarray, pairs: np.ndarray, distance: str
) -> np.ndarray:
    """Return the squared L2 distance of each pair of sets, float64 (P,), 0..4.

    units: unit float (N, D), set after set.  starts: int (S + 1,), where each set begins and the
    last ends.  pairs: int (P, 2) numbers of sets.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance {distance!r}: known are {', '.join(DISTANCES)}")
    means = np.add.reduceat(units, starts[:-1], axis=0) / np.diff(starts)[:, None]
    if distance == "mean-feature":
        return unit_distances(means[pairs[:, 0]], means[pairs[:, 1]])
    if distance == "mean":  # of unit vectors: the mean of 2 - 2 a.b is 2 - 2 mean(a).mean(b)
        return 2 - 2 * np.einsum("pd,pd->p", means[pairs[:, 0]], means[pairs[:, 1]])
    sets = [units[first:past] for first, past in zip(starts[:-1], starts[1:], strict=True)]
    pick = np.max if distance == "least" else np.min  # of the cosines
    return np.array([2 - 2 * float(pick(sets[a] @ sets[b].T)) for a, b in pairs])

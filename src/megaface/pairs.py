"""The same-person pairs of a probe set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..embedding.vectors import squared_distances


@dataclass(frozen=True)
class GenuinePairs:
    """All ordered same-person pairs (probe, mate), by probe, the nearest mate first.

    probe, mate: int64 (K,) rows of the probe set.  distance: float64 (K,) squared L2.
    start: int64 (P + 1,), the pairs of probe p are start[p] .. start[p + 1].
    person: int64 (P,), numbers of the people by row.
    """

    probe: np.ndarray
    mate: np.ndarray
    distance: np.ndarray
    start: np.ndarray
    person: np.ndarray

    def __len__(self) -> int:
        return len(self.probe)


def genuine_pairs(probes: np.ndarray, ids: Sequence[str]) -> GenuinePairs:
    """Return the ordered same-person pairs of probes, float32 (P, D), with P ids.

    Raises ValueError naming people with a single image: they have no mate to be found.
    """
    if len(probes) != len(ids):
        raise ValueError(f"{len(probes)} probes, {len(ids)} ids")
    people, person, images = np.unique(np.asarray(ids), return_inverse=True, return_counts=True)
    if (images < 2).any():
        alone = people[images < 2]
        raise ValueError(
            f"{len(alone)} people have a single image, so no mate: {', '.join(alone[:5])}"
            f"{', ...' if len(alone) > 5 else ''}; take them off the probe list"
        )
    counts = images[person] - 1
    start = np.concatenate([[0], np.cumsum(counts)])
    mate = np.empty(start[-1], np.int64)
    distance = np.empty(start[-1])
    by_person = np.split(np.argsort(person, kind="stable"), np.cumsum(images)[:-1])
    for rows in by_person:
        table = _distance_table(probes[rows])
        for position, row in enumerate(rows):
            others = np.delete(np.arange(len(rows)), position)
            order = others[np.argsort(table[position, others], kind="stable")]
            mate[start[row] : start[row + 1]] = rows[order]
            distance[start[row] : start[row + 1]] = table[position, order]
    probe = np.repeat(np.arange(len(probes)), counts)
    return GenuinePairs(probe, mate, distance, start, person)


def _distance_table(vectors: np.ndarray) -> np.ndarray:
    """Return all squared distances among vectors, (M, M)."""
    table = np.zeros((len(vectors), len(vectors)))
    for row in range(len(vectors) - 1):
        table[row, row + 1 :] = squared_distances(vectors[row : row + 1], vectors[row + 1 :])
    return table + table.T

"""What is counted over distractors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GRID_STEPS = 16  # coarse thresholds over the range of the genuine distances


@dataclass
class Tally:
    """What is counted over distractors; tallies of disjoint sets of distractors add up.

    closer, equal: int64 (K,) by genuine pair, distractors strictly closer than the mate, and
    just as far.  below: int64 (U + 1,), negatives that first fit under the u-th threshold.
    grid: int64 (G + 1,), negatives at or below each distance of the grid.
    best_distance, best_row: (P,), nearest distractor of each probe.
    """

    closer: np.ndarray
    equal: np.ndarray
    below: np.ndarray
    grid: np.ndarray
    best_distance: np.ndarray
    best_row: np.ndarray

    @staticmethod
    def zero(num_pairs: int, num_distances: int, num_probes: int) -> Tally:
        """Return the tally of no distractors."""
        counts = (num_pairs, num_pairs, num_distances + 1, GRID_STEPS + 1)
        return Tally(
            *(np.zeros(count, np.int64) for count in counts),
            np.full(num_probes, np.inf),
            np.full(num_probes, -1, np.int64),
        )

    def add(self, other: Tally) -> None:
        """Add the counts of other distractors; equally near ones: the lower row is named."""
        self.closer += other.closer
        self.equal += other.equal
        self.below += other.below
        self.grid += other.grid
        nearer = (other.best_distance < self.best_distance) | (
            (other.best_distance == self.best_distance) & (other.best_row < self.best_row)
        )
        self.best_distance[nearer] = other.best_distance[nearer]
        self.best_row[nearer] = other.best_row[nearer]

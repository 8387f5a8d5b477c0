"""One tile, all probes x a block of distractors: float32 products, exact decisions.

A product gives the score of a pair with an error that cannot exceed a known bound, whatever
order the library sums in.  Where a score is farther than that from a threshold the product
decides; the rest is decided by pairs.squared_distances.  So no count depends on the block,
the library or the threads.
Bound: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 3.5.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import os

import numpy as np

from .pairs import GenuinePairs, squared_distances
from .tally import GRID_STEPS, Tally

CHUNK = 1 << 18  # scores that one thread works on at a time: 1 MB stays in its cache
EXACT_ROWS = 64  # pairs decided at a time, for the same reason
FEW = 8  # thresholds up to which comparing a line with each is quicker than sorting it
NOTHING = np.zeros(0, np.int64)


class TileCounter:
    """Counts tiles for one probe set.

    grid: float64 (G + 1,), distances evenly spaced down from the farthest genuine pair.
    distances: float64 (U,), the genuine distances and the grid, ascending without repeats.
    A score is a distance in steps of the grid: score(grid[i]) = i + 0.5, higher is nearer.
    """

    def __init__(self, probes: np.ndarray, pairs: GenuinePairs, threads: int | None = None):
        self.probes, self.pairs = probes, pairs
        self._squares = squared_lengths(probes, "probe")
        far, near = pairs.distance.max(), pairs.distance.min()
        # Finer steps than this would be below what float32 tells apart.
        self.step = max(far - near, 1e-3 * max(far, np.median(self._squares))) / GRID_STEPS
        self.grid = far - self.step * np.arange(GRID_STEPS + 1)
        self.distances = np.union1d(pairs.distance, self.grid)
        self.mate_scores = self.score(pairs.distance)
        self.scores_at = self.score(self.distances)[::-1].copy()  # ascending
        # score = 2/step p.x + (far/2 - |p|^2)/step + 1/4 + (far/2 - |x|^2)/step + 1/4
        self._offset = (far / 2 - self._squares) / self.step + 0.25
        self._matrix = self._with_columns(
            probes * np.float32(2 / self.step), self._offset, np.ones(len(probes))
        )
        self._buffer = np.empty(0, np.float32)
        self.threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(self.threads)

    def __enter__(self) -> TileCounter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()

    def zero(self) -> Tally:
        """Return an empty tally."""
        return Tally.zero(len(self.pairs), len(self.distances), len(self.probes))

    def score(self, distance: np.ndarray) -> np.ndarray:
        """Return the scores of distances, float64."""
        return (self.grid[0] - np.asarray(distance)) / self.step + 0.5

    def count(self, vectors: np.ndarray, rows: np.ndarray, last: int, tally: Tally) -> None:
        """Count distractors, float32 (n, D), known as rows (n,), into tally.

        last: negatives are counted against the distances 0 .. last one by one.
        Raises ValueError for NaN, infinity or zero vectors.
        """
        squares = squared_lengths(vectors, "distractor", rows)
        # The error grows with the longest vector, so long ones (the 513th value of a noisy
        # distractor is 100) get a tile of their own.
        far = squares > 4 * np.median(squares)
        for part in (~far, far):
            if part.all():
                self._count_part(vectors, rows, squares, last, tally)
            elif part.any():
                self._count_part(vectors[part], rows[part], squares[part], last, tally)

    def scores(self, vectors: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores, error): float32 (P, n) in a reused buffer, float64 (P,)."""
        offset = (self.grid[0] / 2 - squares) / self.step + 0.25
        matrix = self._with_columns(vectors, np.ones(len(vectors)), offset)
        size = len(self.probes) * len(vectors)
        if self._buffer.size < size:
            self._buffer = np.empty(size, np.float32)
        scores = self._buffer[:size].reshape(len(self.probes), len(vectors))
        np.matmul(self._matrix, matrix.T, out=scores)
        products = 2 / self.step * np.sqrt(self._squares * squares.max())
        bound = products + np.abs(self._offset) + np.abs(offset).max()
        # D + 1 additions and D + 2 products, and the roundings of both matrices.
        error = 1.01 * (self.probes.shape[1] + 8) * 2.0**-24 * bound
        if not np.isfinite(error).all():
            raise ValueError("features are too long for float32; L2-normalise them")
        return scores, error

    def _with_columns(self, vectors: np.ndarray, *columns: np.ndarray) -> np.ndarray:
        matrix = np.empty((len(vectors), vectors.shape[1] + 2), np.float32)
        matrix[:, :-2] = vectors
        matrix[:, -2:] = np.stack(columns, axis=1)
        return matrix

    def _count_part(
        self, vectors: np.ndarray, rows: np.ndarray, squares: np.ndarray, last: int, tally: Tally
    ) -> None:
        scores, error = self.scores(vectors, squares)
        pair_error = error[self.pairs.probe]
        lower = _down(self.mate_scores - pair_error)  # below: surely not closer
        upper = _up(self.mate_scores + pair_error)  # at or above: surely closer
        step = max(1, CHUNK // len(vectors))

        def work(first: int) -> tuple[np.ndarray, np.ndarray]:
            here = slice(first, first + step)
            chunk = _Chunk(self, first, scores[here], error[here], vectors, rows)
            top = chunk.scores.max(axis=1)
            chunk.find_best(top, tally)
            chunk.count_closer(top, lower, upper, tally)
            needs_grid = last < len(self.distances) - 1
            return chunk.place_nearest(last), chunk.fill_grid(top) if needs_grid else NOTHING

        below, grids = zip(*self._pool.map(work, range(0, len(scores), step)), strict=True)
        tally.below += np.bincount(np.concatenate(below), minlength=len(tally.below))
        for grid in grids:
            tally.grid[: len(grid)] += grid


@dataclass(frozen=True)
class _Chunk:
    """The scores of probes first, first + 1, ... in one tile; threads never share a probe."""

    counter: TileCounter
    first: int
    scores: np.ndarray  # float32 (p, n)
    error: np.ndarray  # float64 (p,)
    vectors: np.ndarray  # float32 (n, D)
    rows: np.ndarray  # (n,)

    def find_best(self, top: np.ndarray, tally: Tally) -> None:
        """Keep the nearest distractor of each probe.  top: (p,) highest score by probe."""
        known = self.counter.score(tally.best_distance[self.first : self.first + len(top)])
        lines = np.flatnonzero(top >= known - self.error)
        floor = _down(top - 2 * self.error)
        where = [np.flatnonzero(self.scores[i] >= floor[i]) for i in lines]
        lines = np.repeat(lines, [len(columns) for columns in where])
        if len(lines) == 0:
            return
        columns = np.concatenate(where)
        distance, row = self._exact(lines, columns), self.rows[columns]
        order = np.lexsort((row, distance, lines))
        order = order[np.unique(lines[order], return_index=True)[1]]  # the first of each line
        probe, distance, row = self.first + lines[order], distance[order], row[order]
        best, best_row = tally.best_distance[probe], tally.best_row[probe]
        nearer = (distance < best) | ((distance == best) & (row < best_row))
        tally.best_distance[probe[nearer]] = distance[nearer]
        tally.best_row[probe[nearer]] = row[nearer]

    def count_closer(
        self, top: np.ndarray, lower: np.ndarray, upper: np.ndarray, tally: Tally
    ) -> None:
        """Count, by genuine pair, the distractors that are closer than the mate."""
        start = self.counter.pairs.start[self.first : self.first + len(top) + 1]
        unsure: list[tuple[int, int, np.ndarray]] = []  # line, pair, columns
        for i in np.flatnonzero(top >= lower[start[1:] - 1]):
            line, stop = self.scores[i], start[i + 1]
            begin = stop - lower[start[i] : stop][::-1].searchsorted(top[i], side="right")
            surely = _count_at_least(line, upper[begin:stop])
            maybe = _count_at_least(line, lower[begin:stop])
            tally.closer[begin:stop] += surely
            for k in begin + np.flatnonzero(surely != maybe):
                unsure.append((i, k, np.flatnonzero((line >= lower[k]) & (line < upper[k]))))
        if unsure:
            lines, pairs = (
                np.repeat([one[j] for one in unsure], [len(one[2]) for one in unsure])
                for j in range(2)
            )
            distance = self._exact(lines, np.concatenate([one[2] for one in unsure]))
            mate = self.counter.pairs.distance[pairs]
            np.add.at(tally.closer, pairs, distance < mate)
            np.add.at(tally.equal, pairs, distance == mate)

    def place_nearest(self, last: int) -> np.ndarray:
        """Return, for each negative within distances[last], the first one it fits under."""
        counter, error = self.counter, self.error.max()
        flat = self.scores.ravel()
        where = np.flatnonzero(flat >= _down(counter.score(counter.distances[last]) - error))
        where = where[np.argsort(flat[where])]
        values = flat[where].astype(np.float64)
        ascending = counter.scores_at
        above = ascending.searchsorted(values - error)
        place = len(ascending) - above
        unsure = np.flatnonzero(above != ascending.searchsorted(values + error))
        distance = self._exact(*np.divmod(where[unsure], self.scores.shape[1]))
        place[unsure] = counter.distances.searchsorted(distance)
        return place

    def fill_grid(self, top: np.ndarray) -> np.ndarray:
        """Return how many negatives lie in each step of the grid, (G + 2,), nearest last.

        Step 0 is beyond the grid.  top: (p,) highest score by probe.  Spoils the scores.
        """
        counts = np.zeros(GRID_STEPS + 2, np.int64)
        highest, error = top.max(), self.error.max()
        if highest < 0.5 - error:
            return counts
        place = np.maximum(self.scores, 0, out=self.scores).ravel()
        if highest > GRID_STEPS + 1:
            np.minimum(place, GRID_STEPS + 1, out=place)
        nearest = np.rint(place)
        step = np.zeros(place.size + place.size % 2, np.uint8)
        np.copyto(step[: place.size], nearest, casting="unsafe")
        place -= nearest
        unsure = np.flatnonzero(np.abs(place, out=place) >= _down(0.5 - error))
        # Two steps at a time: half the work, and the odd one out lies beyond the grid.
        twos = np.bincount(step.view(np.uint16), minlength=1 << 16).reshape(256, 256)
        counts += (twos.sum(axis=0) + twos.sum(axis=1))[: len(counts)]
        counts -= np.bincount(step[unsure], minlength=len(counts))
        distance = self._exact(*np.divmod(unsure, self.scores.shape[1]))
        exact = len(self.counter.grid) - self.counter.grid[::-1].searchsorted(distance)
        return counts + np.bincount(exact, minlength=len(counts))

    def _exact(self, lines: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the distances that decide, float64 (n,)."""
        distance = np.empty(len(lines))
        for at in range(0, len(lines), EXACT_ROWS):
            here = slice(at, at + EXACT_ROWS)
            left = self.counter.probes[self.first + lines[here]]
            distance[here] = squared_distances(left, self.vectors[columns[here]])
        return distance


def squared_lengths(vectors: np.ndarray, noun: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Return squared L2 norms, float64 (n,).

    Raises ValueError naming the noun and row of a NaN, infinite or zero vector.
    """
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    if len(bad):
        row = bad[0] if rows is None else rows[bad[0]]
        fault = "is all zeros" if squares[bad[0]] == 0 else "holds NaN or infinity"
        raise ValueError(f"{noun} {row} {fault} ({len(bad)} such in this block)")
    return squares


def _count_at_least(line: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Return how many values of line reach each threshold."""
    if len(thresholds) > FEW:
        return len(line) - np.sort(line).searchsorted(thresholds)
    return np.array([np.count_nonzero(line >= threshold) for threshold in thresholds])


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _down(value: np.ndarray | float) -> np.ndarray:
    """Return the float32 at or below value."""
    return np.nextafter(np.float32(value), np.float32(-np.inf))


def _up(value: np.ndarray | float) -> np.ndarray:
    """Return the float32 at or above value."""
    return np.nextafter(np.float32(value), np.float32(np.inf))

"""One tile, all probes x a block of distractors: float32 products, exact decisions.

A product gives the score of a pair with an error that cannot exceed a known bound, whatever
order the library sums in.  Where a score is farther than that from a threshold the product
decides; the rest is decided by vectors.squared_distances.  So no count depends on the block,
the library or the threads.
Bound: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 3.5.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..cores import usable_cores
from .inner_loops import fastest
from .pairs import GenuinePairs
from .tally import GRID_STEPS, Tally

STEP_ROUNDING = 2.0**-19  # more than what adding a half to a score below 32 rounds away
CHUNK = 1 << 19  # scores that one thread works on at a time: 2 MB stay in its cache


class TileCounter:
    """Counts tiles for one probe set.

    grid: float64 (G + 1,), distances evenly spaced down from the farthest genuine pair.
    distances: float64 (U,), the genuine distances and the grid, ascending without repeats.
    A score is a distance in steps of the grid: score(grid[i]) = i + 0.5, higher is nearer.
    """

    def __init__(self, probes: np.ndarray, pairs: GenuinePairs, threads: int | None = None):
        self.probes, self.pairs = probes, pairs
        self.kernel = fastest()
        self.threads = threads or usable_cores()
        self._pool = ThreadPoolExecutor(self.threads)
        self._squares = self.squared_lengths(probes, noun="probe")
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
        self.error = np.zeros(len(probes))  # of the scores of the last tile, at most
        self.lower = self.upper = np.empty(0, np.float32)  # around mate_scores, the error away

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
        squares = self.squared_lengths(vectors, rows)
        # The error grows with the longest vector, so long ones (the 513th value of a noisy
        # distractor is 100) get a tile of their own.
        far = squares > 4 * np.median(squares)
        for part in (~far, far):
            if part.all():
                self._count_part(vectors, rows, squares, last, tally)
            elif part.any():
                self._count_part(vectors[part], rows[part], squares[part], last, tally)

    def scores(self, vectors: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """Return the scores, float32 (P, n) in a reused buffer."""
        offset = (self.grid[0] / 2 - squares) / self.step + 0.25
        products = 2 / self.step * np.sqrt(self._squares * squares.max())
        bound = products + np.abs(self._offset) + np.abs(offset).max()
        if not bound.max() < np.finfo(np.float32).max:
            raise ValueError("features are too long for float32; L2-normalise them")
        # D + 1 additions and D + 2 products, and the roundings of both matrices.
        self._allow(1.01 * (self.probes.shape[1] + 8) * 2.0**-24 * bound)
        matrix = self._with_columns(vectors, np.ones(len(vectors)), offset)
        size = len(self.probes) * len(vectors)
        if self._buffer.size < size:
            self._buffer = np.empty(size, np.float32)
        scores = self._buffer[:size].reshape(len(self.probes), len(vectors))
        np.matmul(self._matrix, matrix.T, out=scores)
        return scores

    def _allow(self, error: np.ndarray) -> None:
        """Take scores for wrong by up to `error`, float64 (P,), or a little more, as before."""
        if (error <= self.error).all() and (self.error <= 1.05 * error).all():
            return
        self.error = 1.01 * error
        wide = self.error[self.pairs.probe]
        self.lower, self.upper = _down(self.mate_scores - wide), _up(self.mate_scores + wide)

    def _with_columns(self, vectors: np.ndarray, *columns: np.ndarray) -> np.ndarray:
        matrix = np.empty((len(vectors), vectors.shape[1] + 2), np.float32)

        def fill(here: slice) -> None:
            matrix[here, :-2] = vectors[here]

        self._by_rows(fill, len(vectors))
        matrix[:, -2:] = np.stack(columns, axis=1)
        return matrix

    def squared_lengths(
        self, vectors: np.ndarray, rows: np.ndarray | None = None, noun: str = "distractor"
    ) -> np.ndarray:
        """Return squared L2 norms, float64 (n,).

        Raises ValueError naming the noun and row of a NaN, infinite or zero vector.
        """
        squares = np.empty(len(vectors))

        def fill(here: slice) -> None:
            part = vectors[here]
            np.einsum("ij,ij->i", part, part, dtype=np.float64, out=squares[here])

        self._by_rows(fill, len(vectors))
        bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
        if len(bad):
            row = bad[0] if rows is None else rows[bad[0]]
            fault = "is all zeros" if squares[bad[0]] == 0 else "holds NaN or infinity"
            raise ValueError(f"{noun} {row} {fault} ({len(bad)} such in this block)")
        return squares

    def _by_rows(self, fill: Callable[[slice], None], count: int) -> None:
        """Call fill on as many slices of rows as there are threads, in all threads."""
        size = -(-count // self.threads)
        list(self._pool.map(fill, [slice(at, at + size) for at in range(0, count, size)]))

    def _count_part(
        self, vectors: np.ndarray, rows: np.ndarray, squares: np.ndarray, last: int, tally: Tally
    ) -> None:
        scores = self.scores(vectors, squares)
        step = max(1, CHUNK // len(vectors))

        def work(first: int) -> tuple[np.ndarray, np.ndarray]:
            here = slice(first, first + step)
            chunk = _Chunk(self, first, scores[here], self.error[here], vectors, rows)
            line, column, distance = chunk.count_closer(tally, chunk.floor(last, tally))
            chunk.find_best(line, column, distance, tally)
            # The first distance that each negative fits under.
            place = self.kernel.places(self.distances, np.sort(distance))
            return place, chunk.count_within_grid()

        below, grids = zip(*self._pool.map(work, range(0, len(scores), step)), strict=True)
        tally.below += np.bincount(np.concatenate(below), minlength=len(tally.below))
        tally.grid += sum(grids)


@dataclass(frozen=True)
class _Chunk:
    """The scores of probes first, first + 1, ... in one tile; threads never share a probe."""

    counter: TileCounter
    first: int
    scores: np.ndarray  # float32 (p, n)
    error: np.ndarray  # float64 (p,)
    vectors: np.ndarray  # float32 (n, D)
    rows: np.ndarray  # (n,)

    def floor(self, last: int, tally: Tally) -> np.ndarray:
        """Return the scores (p,) that the negatives within distances[last] reach, and so does each
        probe's nearest unless the tally has a nearer one.
        """
        limit = self.counter.score(self.counter.distances[last])
        best = self.counter.score(tally.best_distance[self.first : self.first + len(self.scores)])
        far = np.flatnonzero(best < limit)  # with a nearest that lies within, it is listed anyhow
        best[far] = np.maximum(best[far], self.scores[far].max(axis=1) - self.error[far])
        return np.minimum(best, limit) - self.error

    def count_closer(
        self, tally: Tally, floor: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Count, by genuine pair, the distractors that are closer than the mate.

        Return (line, column, distance) of the negatives that reach the floor of their line.
        """
        counter, pairs, lines = self.counter, self.counter.pairs, len(self.scores)
        start = pairs.start[self.first : self.first + lines + 1]
        mine = slice(start[0], start[-1])
        surely, limit, column = counter.kernel.compare(
            self.scores, start - start[0], counter.lower[mine], counter.upper[mine], _down(floor)
        )
        line = np.concatenate([pairs.probe[mine] - self.first, np.arange(lines)])[limit]
        distance, is_pair = self._distances(line, column), limit < len(surely)
        pair = limit[is_pair]
        beside = distance[is_pair] - pairs.distance[mine][pair]
        tally.closer[mine] += surely + np.bincount(pair[beside < 0], minlength=len(surely))
        tally.equal[mine] += np.bincount(pair[beside == 0], minlength=len(surely))
        return line[~is_pair], column[~is_pair], distance[~is_pair]

    def find_best(
        self, line: np.ndarray, column: np.ndarray, distance: np.ndarray, tally: Tally
    ) -> None:
        """Keep the nearest distractor of each probe.  The arrays: what count_closer returned."""
        mine = slice(self.first, self.first + len(self.scores))
        best, best_row = tally.best_distance[mine], tally.best_row[mine]  # views
        nearest = best.copy()
        np.minimum.at(nearest, line, distance)
        at = np.flatnonzero(distance == nearest[line])
        line, row = line[at], self.rows[column[at]]
        best_row[nearest < best] = np.iinfo(np.int64).max
        np.minimum.at(best_row, line, row)
        best[:] = nearest

    def count_within_grid(self) -> np.ndarray:
        """Return how many negatives lie at or below each distance of the grid, (G + 1,)."""
        grid = self.counter.grid
        surely, line, step, column = self.counter.kernel.compare_with_steps(
            self.scores,
            _down(0.5 - self.error - STEP_ROUNDING),
            _up(0.5 + self.error + STEP_ROUNDING),
            len(grid),
        )
        distance = self._distances(line, column)
        return surely + np.bincount(step[distance <= grid[step]], minlength=len(grid))

    def _distances(self, line: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Return the distances that decide, float64 (n,)."""
        counter = self.counter
        return counter.kernel.distances(counter.probes, self.first + line, self.vectors, column)


def _down(value: np.ndarray | float) -> np.ndarray:
    """Return the float32 at or below value."""
    return np.nextafter(np.float32(value), np.float32(-np.inf))


def _up(value: np.ndarray | float) -> np.ndarray:
    """Return the float32 at or above value."""
    return np.nextafter(np.float32(value), np.float32(np.inf))

"""The inner loops of the search, compiled (inner_loops.cc) or in plain numpy: the same bits.

compare(scores, start, lower, upper, floor): scores against thresholds.  scores: float32 (lines, n),
C order; the thresholds of line i are start[i] .. start[i + 1], start: int64 (lines + 1,).  lower,
upper: float32 by threshold, lower descending in a line.  floor: float32 by line.  Returns (surely,
threshold, column), all int64: how many scores of its line reach upper, by threshold; and, in any
order, which scores reach lower and not upper, and, as threshold len(lower) + i, the floor.

compare_with_steps(scores, down, up, steps): scores against 1, 2, .. steps, at most 255.  down, up:
float32 (lines,).  Returns (surely, line, step, column), int64: how many of all scores reach a step
with down added, by step from 0; and, in any order, those that reach it with up added alone.

places(limits, values): limits.searchsorted(values), int64, of float64 that ascend, both.

distances(left, left_rows, right, right_rows): vectors.squared_distances of the named rows,
float64 (n,).  left, right: float32 (?, D), C order.  rows: int64 (n,).
"""

from __future__ import annotations

import ctypes
import functools
import logging
from pathlib import Path

import numpy as np

from ..compiler import BuildError, LibraryRecipe, load_cached, reason_of
from ..embedding.vectors import squared_distances

ROWS = 64  # pairs that Plain decides at a time: they stay in the cache
# No fused multiply-add: it rounds differently from numpy.
FLAGS = ("-ffp-contract=off", "-fopenmp-simd")
RECIPE = LibraryRecipe(
    "megaface",
    (Path(__file__).with_name("inner_loops.cc"),),
    flags=FLAGS,
    trial="arcface_mxnet.megaface.inner_loops:try_library",
)

logger = logging.getLogger(__name__)


class Plain:
    """In numpy."""

    def compare(
        self,
        scores: np.ndarray,
        start: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        floor: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See the head of this file."""
        surely = np.zeros(len(lower), np.int64)
        columns = {}  # by threshold
        for i, line in enumerate(scores):
            mine, ascending = slice(start[i], start[i + 1]), np.sort(line)
            low, high = (
                len(line) - ascending.searchsorted(limit[mine]) for limit in (lower, upper)
            )
            surely[mine] = high
            for k in start[i] + np.flatnonzero(low != high):
                columns[k] = np.flatnonzero((line >= lower[k]) & (line < upper[k]))
            columns[len(lower) + i] = np.flatnonzero(line >= floor[i])
        threshold = np.repeat(list(columns), [len(found) for found in columns.values()])
        return surely, threshold, np.concatenate(list(columns.values()))

    def compare_with_steps(
        self, scores: np.ndarray, down: np.ndarray, up: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """See the head of this file."""
        low, high = (
            np.clip(scores + shift[:, None], 0, steps).astype(np.uint8) for shift in (down, up)
        )
        surely = np.bincount(low.ravel(), minlength=steps + 1)[:0:-1].cumsum()[::-1]
        line, column = np.nonzero(low != high)
        low, high = low[line, column].astype(np.int64), high[line, column].astype(np.int64)
        which = np.repeat(np.arange(len(line)), high - low)
        first = np.cumsum(high - low) - (high - low)
        step = low[which] + np.arange(len(which)) - first[which]
        return surely, line[which], step, column[which]

    def places(self, limits: np.ndarray, values: np.ndarray) -> np.ndarray:
        """See the head of this file."""
        return limits.searchsorted(values)

    def distances(
        self, left: np.ndarray, left_rows: np.ndarray, right: np.ndarray, right_rows: np.ndarray
    ) -> np.ndarray:
        """See the head of this file."""
        distance = np.empty(len(left_rows))
        for at in range(0, len(distance), ROWS):
            here = slice(at, at + ROWS)
            distance[here] = squared_distances(left[left_rows[here]], right[right_rows[here]])
        return distance


class Compiled:
    """In C++, of a compiled library; other threads run meanwhile.

    Raises OSError or AttributeError if it does not load.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self._compare, self._steps = library.compare, library.compare_with_steps
        self._places, self._distances = library.places, library.squared_distances
        number, array = ctypes.c_int64, ctypes.c_void_p
        self._compare.argtypes = [array, number, number, *[array] * 5, number, array, array]
        self._steps.argtypes = [array, number, number, array, array, number, array, number] + [
            array
        ] * 3
        self._compare.restype = self._steps.restype = number
        self._places.argtypes = [array, number, array, number, array]
        self._distances.argtypes = [*[array] * 4, number, number, array]
        self._places.restype = self._distances.restype = None

    def compare(
        self,
        scores: np.ndarray,
        start: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        floor: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See the head of this file."""
        start = _as(start, np.int64)
        scores, lower, upper, floor = (_as(a, np.float32) for a in (scores, lower, upper, floor))
        surely = np.empty(len(lower), np.int64)
        room = 4096 + scores.size // 64
        while True:
            threshold, column = np.empty((2, room), np.int64)
            found = self._compare(
                *(scores.ctypes.data, *scores.shape, start.ctypes.data, lower.ctypes.data),
                *(upper.ctypes.data, floor.ctypes.data, surely.ctypes.data, room),
                *(threshold.ctypes.data, column.ctypes.data),
            )
            if found <= room:
                return surely, threshold[:found], column[:found]
            room = found

    def compare_with_steps(
        self, scores: np.ndarray, down: np.ndarray, up: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """See the head of this file."""
        scores, down, up = (_as(array, np.float32) for array in (scores, down, up))
        surely = np.empty(steps, np.int64)
        room = 4096 + scores.size // 64
        while True:
            line, step, column = np.empty((3, room), np.int64)
            found = self._steps(
                *(scores.ctypes.data, *scores.shape, down.ctypes.data, up.ctypes.data, steps),
                *(surely.ctypes.data, room),
                *(line.ctypes.data, step.ctypes.data, column.ctypes.data),
            )
            if found <= room:
                return surely, line[:found], step[:found], column[:found]
            room = found

    def places(self, limits: np.ndarray, values: np.ndarray) -> np.ndarray:
        """See the head of this file."""
        limits, values = _as(limits, np.float64), _as(values, np.float64)
        place = np.empty(len(values), np.int64)
        self._places(
            *(limits.ctypes.data, len(limits), values.ctypes.data, len(values), place.ctypes.data)
        )
        return place

    def distances(
        self, left: np.ndarray, left_rows: np.ndarray, right: np.ndarray, right_rows: np.ndarray
    ) -> np.ndarray:
        """See the head of this file."""
        left, right = _as(left, np.float32), _as(right, np.float32)
        left_rows, right_rows = _as(left_rows, np.int64), _as(right_rows, np.int64)
        distance = np.empty(len(left_rows))
        self._distances(
            *(left.ctypes.data, left_rows.ctypes.data, right.ctypes.data, right_rows.ctypes.data),
            *(len(distance), left.shape[1], distance.ctypes.data),
        )
        return distance


@functools.cache
def fastest() -> Plain | Compiled:
    """Return Compiled, or Plain, said once with the reason, where that cannot be had."""
    try:
        compiled = load_cached(RECIPE, Compiled)
        _check(compiled)
    except (BuildError, OSError, AttributeError) as error:
        logger.warning(
            "MegaFace search: in numpy, slower than compiled, because: %s",
            reason_of(error),
        )
        return Plain()
    return compiled


def try_library(path: str) -> None:
    """Load the library of this path and use it; for a process of its own."""
    compiled, rows = Compiled(Path(path)), np.zeros(1, np.int64)
    compiled.distances(np.ones((1, 512)), rows, np.zeros((1, 512)), rows)
    compiled.compare(np.ones((1, 8)), np.arange(2), *np.ones((3, 1)))
    compiled.compare_with_steps(np.ones((1, 8)), np.zeros(1), np.zeros(1), 2)
    compiled.places(np.arange(40.0), np.arange(-1.0, 42))


def _check(compiled: Compiled) -> None:
    """Raise BuildError unless distances have the very bits of numpy's, whose sums have an
    order that is not promised."""
    rng = np.random.default_rng(0)
    rows = np.arange(8)
    for dim in (*range(1, 20), 64, *range(120, 140), 255, 256, 512, 513, 1000, 1024, 2048):
        left, right = rng.standard_normal((2, len(rows), dim), np.float32)
        distance = compiled.distances(left, rows, right, rows)
        if not np.array_equal(distance, squared_distances(left, right)):
            raise BuildError(f"this numpy adds {dim} numbers in another order")


def _as(array: np.ndarray, dtype: type) -> np.ndarray:
    return np.ascontiguousarray(array, dtype)

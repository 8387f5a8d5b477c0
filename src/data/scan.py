"""All records of a .rec file in a table, read once from its beginning to its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .headers import SUMMARY
from .walk import Damage, Stretch, walk

CHUNK = 64  # images that a thread takes at once
AHEAD = 4  # blocks of the file that are in memory for the threads

# Returns what is wrong with a payload, or None.
Judge = Callable[[bytes], str | None]


@dataclass(frozen=True)
class Scan:
    """size: bytes of the file.  offsets (bytes): int64 (n,) and headers, as headers_at gives them,
    of its records in their order, 52 bytes for each.  faults: what is wrong with records, by
    row.  bad: what judge said of payloads, by row.
    """

    path: Path
    size: int
    offsets: np.ndarray
    headers: np.ndarray
    damage: tuple[Damage, ...] = ()
    faults: dict[int, str] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)


def scan(
    rec_path: str | os.PathLike,
    judge: Judge | None = None,
    *,
    num_threads: int = 1,
    progress: bool = False,
) -> Scan:
    """Return the table of a file; judge sees every payload that is not empty, in num_threads.

    Raises FileNotFoundError; OSError where the disk cannot be read; ValueError for an empty file.
    """
    path = Path(rec_path)
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path}: is empty; fetch or pack it again")
    offsets, headers = _Growing(np.dtype(np.int64)), _Growing(SUMMARY)
    damage: list[Damage] = []
    faults: dict[int, str] = {}
    bad: dict[int, str] = {}
    waiting: deque[list[Future]] = deque()
    count = 0

    def collect(limit: int) -> None:
        while len(waiting) > limit:
            for future in waiting.popleft():
                bad.update(future.result())

    with (
        ThreadPoolExecutor(num_threads) as pool,
        tqdm(
            total=size, unit="B", unit_scale=True, desc=path.name, disable=not progress
        ) as bar,
    ):  # fmt: skip
        for stretch in walk(path):
            share = stretch.past / size
            offsets.append(stretch.offsets, share)
            headers.append(stretch.headers, share)
            damage += stretch.damage
            faults |= {count + place: text for place, text in stretch.faults.items()}
            if judge:
                waiting.append(_judged(pool, judge, stretch, count))
                collect(AHEAD)
            count += len(stretch.places)
            bar.update(stretch.past - bar.n)
        collect(0)
    return Scan(path, size, offsets.whole(), headers.whole(), tuple(damage), faults, bad)


class _Growing:
    """An array that grows in place: two copies of a long one would not fit in memory."""

    def __init__(self, dtype: np.dtype):
        self._array, self._count = np.empty(0, dtype), 0

    def append(self, values: np.ndarray, share: float) -> None:
        """Take values down; share: how much of all there is then, 0..1."""
        end = self._count + len(values)
        if end > len(self._array):
            self._array.resize(max(int(end / max(share, 1e-9) * 1.05), end), refcheck=False)
        self._array[self._count : end] = values
        self._count = end

    def whole(self) -> np.ndarray:
        """Return what was taken down."""
        self._array.resize(self._count, refcheck=False)
        return self._array


def _judged(
    pool: ThreadPoolExecutor, judge: Judge, stretch: Stretch, before: int
) -> list[Future[dict[int, str]]]:
    rows = np.flatnonzero(stretch.headers["size"] > 0)

    def work(some: np.ndarray) -> dict[int, str]:
        said = ((row, judge(stretch.payload(row))) for row in some.tolist())
        return {before + row: text for row, text in said if text is not None}

    return [pool.submit(work, rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)]

"""Identities compared with identities: block by block, never all with all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

BLOCK = 2048


def nearest_others(
    rows: np.ndarray, means: np.ndarray, without: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row the person whose images are nearest on average, and that cosine.

    rows: unit float32 (n, D).  means: mean unit rows of the persons, float32 (K, D).
    without: int64 (n,), the person that is left out for each row.
    Returns int64 (n,), -1 where there is no other, and float32 (n,).
    """
    best, score = np.full(len(rows), -1, np.int64), np.full(len(rows), -2, np.float32)
    for begin in range(0, len(rows), BLOCK):
        end = min(begin + BLOCK, len(rows))
        for first in range(0, len(means), BLOCK):
            past = min(first + BLOCK, len(means))
            cosines = rows[begin:end] @ means[first:past].T
            inside = np.flatnonzero((without[begin:end] >= first) & (without[begin:end] < past))
            cosines[inside, without[begin:end][inside] - first] = -2
            where = cosines.argmax(axis=1)
            value = cosines[np.arange(end - begin), where]
            better = value > score[begin:end]
            best[begin:end][better] = where[better] + first
            score[begin:end][better] = value[better]
    return best, score


def earlier_people(
    means: np.ndarray, least: float, tell: Callable[[int], object] = lambda count: None
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each person the most similar earlier one, if at least `least`, and the cosine.

    means: float32 (K, D), mean unit rows, so the product is the average cosine between the images
    of two persons, whatever their number.  Returns int64 (K,), -1 for none, and float32 (K,).
    """
    best, score = np.full(len(means), -1, np.int64), np.full(len(means), -2, np.float32)
    for begin in range(0, len(means), BLOCK):
        end = min(begin + BLOCK, len(means))
        for first in range(0, end, BLOCK):
            past = min(first + BLOCK, end)
            cosines = means[begin:end] @ means[first:past].T
            if first == begin:
                cosines[np.triu_indices(end - begin)] = -2
            where = cosines.argmax(axis=1)
            value = cosines[np.arange(end - begin), where]
            better = (value > score[begin:end]) & (value >= least)
            best[begin:end][better] = where[better] + first
            score[begin:end][better] = value[better]
        tell(end - begin)
    return best, score


def groups(earlier: np.ndarray) -> np.ndarray:
    """Return for each person the first of the group that the links to earlier ones make."""
    root = np.arange(len(earlier))
    for person in np.flatnonzero(earlier >= 0):  # ascending, so the earlier one is done
        root[person] = root[earlier[person]]
    return root


def most_similar(
    centres: np.ndarray, blocks: Iterable[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each centre the number of the most similar row of a stream, and the cosine.

    centres: unit float32 (K, D).  blocks: unit float32 (n, D) each, numbered on.
    """
    best, score = np.full(len(centres), -1, np.int64), np.full(len(centres), -2, np.float32)
    start = 0
    for rows in blocks:
        for begin in range(0, len(centres), BLOCK):
            end = min(begin + BLOCK, len(centres))
            cosines = centres[begin:end] @ rows.T
            where = cosines.argmax(axis=1)
            value = cosines[np.arange(end - begin), where]
            better = value > score[begin:end]
            best[begin:end][better] = where[better] + start
            score[begin:end][better] = value[better]
        start += len(rows)
    return best, score

"""A generator for each image of a batch: default_rng([first, second, third, place])'s equal.

What numpy.random.SeedSequence makes of four words is made for all places at once; one by one it
takes longer than everything that is then drawn.  Source: NumPy's documentation of SeedSequence,
and M. E. O'Neill, "Developing a seed_seq Alternative" (2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random.bit_generator import ISeedSequence

POOL = 4  # words, of 32 bit


def _constants(first: int, factor: int, count: int) -> np.ndarray:
    """Return first * factor ** (0, 1, .. count), modulo 2 ** 32, uint32 (count + 1, 1)."""
    values = [first * pow(factor, power, 1 << 32) % (1 << 32) for power in range(count + 1)]
    return np.array(values, np.uint32)[:, None]


ENTER = _constants(0x43B0D7E5, 0x931E8875, POOL * POOL)
LEAVE = _constants(0x8B51F9DD, 0x58F38DED, 2 * POOL)
LEFT, RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
SHIFT = np.uint32(16)


class _Words(ISeedSequence):
    """Gives a bit generator the words that it is seeded with, uint64 (4,)."""

    def __init__(self, words: np.ndarray):
        self._words = words

    def generate_state(self, n_words: int, dtype: type = np.uint32) -> np.ndarray:
        """Return the words; PCG64, which alone gets one of these, asks for four of uint64."""
        return self._words


def generator(words: np.ndarray) -> np.random.Generator:
    """Return the generator of a row of seeds()."""
    return np.random.Generator(np.random.PCG64(_Words(words)))


def seeds(words: Sequence[int], places: np.ndarray) -> np.ndarray:
    """Return SeedSequence([*words, place]).generate_state(4, uint64), uint64 (N, 4).

    words: three, below 2 ** 32.  places: (N,), likewise.
    """
    pool = np.empty((POOL, len(places)), np.uint32)
    pool[:-1] = np.array(words, np.uint32)[:, None]
    pool[-1] = places
    pool = _hashed(pool, ENTER[: POOL + 1])
    for source in range(POOL):
        others = [place for place in range(POOL) if place != source]
        begin = POOL + source * len(others)
        mixed = LEFT * pool[others]
        mixed -= RIGHT * _hashed(pool[source], ENTER[begin : begin + POOL])
        pool[others] = mixed ^ (mixed >> SHIFT)
    state = _hashed(np.concatenate([pool, pool]), LEAVE)
    return np.ascontiguousarray(state.T, "<u4").view("<u8").astype(np.uint64)


def _hashed(values: np.ndarray, constants: np.ndarray) -> np.ndarray:
    """Return values, uint32 (N,) or (K, N), hashed with K + 1 constants in a row, (K, N)."""
    values = (values ^ constants[:-1]) * constants[1:]
    return values ^ (values >> SHIFT)

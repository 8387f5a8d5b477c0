"""Random orders of a dataset in which the images of an identity stand together.

An order is drawn once a round: of the identities, which costs a permutation.  Which images of an
identity come, and in what order, is drawn when its turn comes: the generator is set to the place
in its stream that is that identity's, so that any part of an order is the same however much of it
was asked for before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERIOD = 1 << 128  # of PCG64, default_rng's generator


class GroupedOrder:
    """At most `each` random images of every identity, identity after identity.

    keys_by_identity: int64 arrays of keys.  length: images of an order.
    """

    def __init__(self, keys_by_identity: Sequence[np.ndarray], each: int):
        self._groups, self._each = keys_by_identity, each
        self._counts = np.fromiter(map(len, keys_by_identity), np.int64, len(keys_by_identity))
        self._starts = np.cumsum(self._counts) - self._counts  # of their numbers in the stream
        self.length = int(np.minimum(self._counts, each).sum())

    def start(self, rng: np.random.Generator) -> None:
        """Begin the order that this generator makes.  rng: default_rng's, and no one else's."""
        identities = rng.permutation(len(self._counts))
        self._identities = np.empty_like(identities)
        self._identities[identities] = np.arange(len(identities))  # number i stands at place [i]
        self._ends = np.cumsum(np.minimum(self._counts[self._identities], self._each))
        self._rng, self._at = rng, 0  # numbers drawn since

    def part(self, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Return keys and identity numbers, int64, of places begin..end of the order."""
        first = int(np.searchsorted(self._ends, begin, side="right"))
        last = int(np.searchsorted(self._ends, end, side="left"))
        identities = self._identities[first : last + 1]
        drawn = [self._drawn(int(identity)) for identity in identities]
        keys = np.concatenate(drawn)
        owners = np.repeat(identities, [len(part) for part in drawn])
        before = int(self._ends[first - 1]) if first else 0
        inside = slice(begin - before, end - before)
        return keys[inside], owners[inside]

    def _drawn(self, identity: int) -> np.ndarray:
        """Return the images of an identity that this order has, in its order."""
        start, count = int(self._starts[identity]), int(self._counts[identity])
        # A number stands for every image; going round, the stream leads to those behind too.
        self._rng.bit_generator.advance((start - self._at) % PERIOD)
        numbers = self._rng.random(count)
        self._at = start + count
        return self._groups[identity][np.argsort(numbers, kind="stable")[: self._each]]

"""Vectors of a dataset's images and whose they are, in the order of the identities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

AT_ONCE = 4096  # rows that are in memory as float32
EPSILON = 1e-12


@dataclass(frozen=True)
class Faces:
    """vectors: float (N, D), or (N, 2, D) plain and flipped, which are added; perhaps on the disk.
    rows: int64 (N,), the row of each image.  keys, identities: int64 (N,); identities ascend.

    In what follows a place is a position in these lists, a person a number 0..K-1 of the
    identities that have images.
    """

    vectors: np.ndarray
    rows: np.ndarray
    keys: np.ndarray
    identities: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def dim(self) -> int:
        return self.vectors.shape[-1]

    @cached_property
    def starts(self) -> np.ndarray:
        """First place of each person, and the number of images: int64 (K + 1,)."""
        change = np.flatnonzero(np.diff(self.identities)) + 1
        return np.concatenate([[0], change, [len(self)]]).astype(np.int64)

    @cached_property
    def counts(self) -> np.ndarray:
        """Images of each person, int64 (K,)."""
        return np.diff(self.starts)

    @cached_property
    def people(self) -> np.ndarray:
        """The person of each place, int64 (N,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def numbers(self) -> np.ndarray:
        """The identity of each person, int64 (K,)."""
        return self.identities[self.starts[:-1]]

    def unit(self, places: np.ndarray | slice) -> np.ndarray:
        """Return the vectors of some places as rows of length 1, float32 (n, D).

        Raises ValueError that names the image of a vector that has no direction.
        """
        found = np.asarray(self.vectors[self.rows[places]], np.float32)
        if found.ndim == 3:
            found = found[:, 0] + found[:, 1]
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(found, axis=1, keepdims=True)
        bad = ~(np.isfinite(lengths) & (lengths > EPSILON))[:, 0]
        if bad.any():
            keys = self.keys[places][bad]
            raise ValueError(
                f"the vector of record {keys[0]} is zero, NaN or infinite ({int(bad.sum())} such); "
                "embed the images again, or leave those out with `arcface-rec copy --skip-bad`"
            )
        return found / lengths

    def blocks(self, at_once: int = AT_ONCE) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (places, unit rows) of all images in order."""
        for begin in range(0, len(self), at_once):
            places = slice(begin, min(begin + at_once, len(self)))
            yield places, self.unit(places)


def in_order(
    vectors: np.ndarray, rows: np.ndarray, keys: np.ndarray, identities: np.ndarray
) -> Faces:  # fmt: skip
    """Return the faces ordered by identity, and within one by key."""
    order = np.lexsort((keys, identities))
    return Faces(vectors, rows[order], keys[order], identities[order])

"""Ready vectors in the place of a network: features of MegaFace's images by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..embedding.ready_vectors import ReadyVectors
from ..embedding.source_text import SourceText
from ..embedding.vectors import unit_rows

GROUP = 2048  # vectors at a time
MISSING = "no vector of it"


class ReadyModel:
    """One or several files of vectors, with names: names of images to features of unit length.

    Raises ValueError for a file without names: MegaFace's lists cannot be matched by order.
    """

    def __init__(self, sources: Sequence[SourceText]):
        self._ready = [ReadyVectors(source.model, source.options) for source in sources]
        for one in self._ready:
            if one.names is None:
                raise ValueError(
                    f"{one.path}: vectors without names: give FILE@list=NAMES, a name a line, as "
                    "the lists of MegaFace have them"
                )
        self._rows = [{name: row for row, name in enumerate(one.names)} for one in self._ready]
        self.dim = sum(one.dim for one in self._ready)

    def __call__(self, names: Sequence[str]) -> np.ndarray:
        """Return unit features float32 (N, D) of names."""
        parts = []
        for one, row_of in zip(self._ready, self._rows, strict=True):
            plain, flipped = one.rows(np.array([row_of[name] for name in names], np.int64))
            parts.append(unit_rows(plain if flipped is plain else plain + flipped))
        return unit_rows(np.concatenate(parts, axis=1))

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return the names that not every file has."""
        return [name for name in names if not all(name in row_of for row_of in self._rows)]

    def batches(
        self, _root: Path, names: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], Sequence[str], dict[str, str]]]:
        """Yield (names, those with a vector, faults of the others)."""
        for at in range(0, len(names), GROUP):
            group = names[at : at + GROUP]
            bad = dict.fromkeys(self.missing(group), MISSING)
            yield group, [name for name in group if name not in bad], bad

    def describe(self) -> dict:
        """Return what decides the features, for telling one job from another."""
        return {"vectors_sha256": [one.fingerprint for one in self._ready]}

"""What fills the rows of a classifier, whichever of them a process has: drawn, or stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.shards import StoredClassifier, WholeClassifier

# fill(name, begin, rows): write the rows of the array from row `begin` of all on into `rows`.
Fill = Callable[[str, int, Tensor], None]

BLOCK = 4096  # rows that are drawn with a seed of their own, whoever has them
SEED_STRIDE = 1_000_003
MAGNITUDE = 2.0  # of Xavier's initializer, as r* and y* have it


@torch.no_grad()
def draw(rows: Tensor, begin: int, total: int, seed: int) -> None:
    """Draw the rows from `begin` on of `total`: the same, whoever has which of them.

    Normal with variance 2 / total, as Xavier's initializer of r* and y* has it; a bias is 0.
    """
    if rows.ndim < 2:
        rows.zero_()
        return
    generator = torch.Generator()
    end = begin + len(rows)
    for block in range(begin // BLOCK, -(-end // BLOCK)):
        generator.manual_seed(seed * SEED_STRIDE + block)
        first, last = block * BLOCK, min((block + 1) * BLOCK, total)
        drawn = torch.empty((last - first, rows.shape[1]))
        drawn.normal_(0, (MAGNITUDE / total) ** 0.5, generator=generator)
        low, high = max(first, begin), min(last, end)
        rows[low - begin : high - begin] = drawn[low - first : high - first]


def filled_from(stored: StoredClassifier | WholeClassifier) -> Fill:
    """Return what fills rows from files."""

    def fill(name: str, begin: int, rows: Tensor) -> None:
        for part in rows.detach().split(BLOCK):
            array = np.empty(part.shape, np.float32)
            stored.read(name, begin, array)
            part.copy_(torch.from_numpy(array))
            begin += len(part)

    return fill


def filled_of(arrays: Mapping[str, np.ndarray]) -> Fill:
    """Return what fills rows from whole arrays, numpy's or with asnumpy()."""

    def fill(name: str, begin: int, rows: Tensor) -> None:
        part = arrays[name][begin : begin + len(rows)]
        part = part.asnumpy() if hasattr(part, "asnumpy") else part
        rows.detach().copy_(torch.as_tensor(np.asarray(part, np.float32)))

    return fill

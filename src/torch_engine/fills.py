"""What fills the rows of a classifier, whichever of them a process has: drawn, or stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.shards import StoredClassifier, WholeClassifier
from ..networks.initializers import gaussian_out

# fill(name, begin, rows): write the rows of the array from row `begin` of all on into `rows`.
Fill = Callable[[str, int, Tensor], None]

BLOCK = 4096  # rows that are drawn with a seed of their own, whoever has them
SEED_STRIDE = 1_000_003


class Drawing(Protocol):
    """What MXNet's Xavier was told: "gaussian" or "uniform"; "in", "out" or "avg"."""

    rnd_type: str
    factor_type: str
    magnitude: float


@torch.no_grad()
def draw(rows: Tensor, begin: int, total: int, seed: int, drawing: Drawing = gaussian_out) -> None:
    """Draw the rows from `begin` on of `total`: the same, whoever has which of them.

    As the network's initializer does where the classifier is dense, with other numbers; a bias is
    0.
    """
    if rows.ndim < 2:
        rows.zero_()
        return
    generator = torch.Generator()
    end = begin + len(rows)
    fans = {"out": total, "in": rows.shape[1], "avg": (total + rows.shape[1]) / 2}
    scale = (drawing.magnitude / fans[drawing.factor_type]) ** 0.5
    for block in range(begin // BLOCK, -(-end // BLOCK)):
        generator.manual_seed(seed * SEED_STRIDE + block)
        first, last = block * BLOCK, min((block + 1) * BLOCK, total)
        drawn = torch.empty((last - first, rows.shape[1]))
        if drawing.rnd_type == "uniform":
            drawn.uniform_(-scale, scale, generator=generator)
        else:
            drawn.normal_(0, scale, generator=generator)
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

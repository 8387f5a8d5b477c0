"""What runs a network for an Embedder: a batch of images in, raw embeddings out.

Every runner has run(batch): float32 RGB (n, 3, H, W), 0..255 -> float32 (n, D), and raises
ValueError for images that the network does not take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..checkpoints.network import StoredNetwork
from ..engines.cache import ConversionCache
from ..engines.choice import Engine
from ..engines.converted import ConvertedNetwork


class Runner(Protocol):
    """See the module."""

    def run(self, batch: np.ndarray) -> np.ndarray: ...


class OnnxRunner:
    """A stored network on onnxruntime, converted for the size of the first images.

    load: returns the network; called again for images of another size.  cache: of conversions,
    None for parameters that change, which are compared with MXNet if `prove` says so.
    """

    def __init__(
        self,
        load: Callable[[], StoredNetwork],
        engine: Engine,
        *,
        cache: ConversionCache | None,
        prove: bool = True,
        name: str = "the network",
    ):
        self._load, self._engine, self._cache = load, engine, cache
        self._prove, self._name = prove, name
        self._size: tuple[int, ...] = ()
        self.network: ConvertedNetwork | None = None  # that of the last images

    def run(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[2:] != self._size:
            self.network = self._open(batch.shape[2:])
            self._size = batch.shape[2:]
        return self.network.run(batch)[0]

    def _open(self, size: tuple[int, int]) -> ConvertedNetwork:
        return ConvertedNetwork(
            self._load(),
            size,
            gpu=self._engine.devices[0],
            dtype=self._engine.dtype,
            cache=self._cache,
            prove=self._prove,
            name=self._name,
        )

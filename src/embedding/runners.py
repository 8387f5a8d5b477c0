"""What runs a network for an Embedder: a batch of images in, raw embeddings out.

Every runner has run(batch): float32 RGB (n, 3, H, W), 0..255 -> float32 (n, D), and raises
ValueError for images that the network does not take.
"""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Protocol

import numpy as np

from ..checkpoints.network import StoredNetwork
from ..engines.cache import ConversionCache
from ..engines.choice import Engine
from ..engines.converted import ConvertedNetwork
from ..engines.onnx_file import parse_onnx
from ..engines.parity import Parity
from ..engines.session import Session
from ..limits import shown

logger = logging.getLogger(__name__)

# What an ONNX file must say of itself: with other pixels the embeddings would be wrong.
REQUIRED_METADATA = {"input_range": "0..255", "color_order": "RGB", "layout": "NCHW"}


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
        self._network: ConvertedNetwork

    def run(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[2:] != self._size:
            self._network = self._open(batch.shape[2:])
            self._size = batch.shape[2:]
        return self._network.run(batch)[0]

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


class OnnxFileRunner:
    """An ONNX file as export/to_onnx.py writes it.

    Raises ValueError if it is damaged, or made by another exporter, whose input range and colour
    order are unknown.
    """

    def __init__(self, model: bytes, engine: Engine, name: str):
        parse_onnx(model, name)  # onnxruntime believes what it reads
        self._session = Session(model, gpu=engine.devices[0], dtype=engine.dtype, name=name)
        self._name = name
        said = self._session.metadata
        if any(said.get(key) != value for key, value in REQUIRED_METADATA.items()):
            raise ValueError(
                f"{name}: does not say that it takes raw RGB 0..255 in NCHW; export it with "
                "python -m arcface_mxnet.export.to_onnx"
            )
        self._single: Session | None = None  # what bfloat16 is held against, once
        if engine.dtype != "float32":
            self._single = Session(model, gpu=engine.devices[0], name=name)
        inputs = list(self._session.inputs.items())
        if len(inputs) != 1 or len(inputs[0][1]) != 4:
            shapes = ", ".join(f"{shown(name)} {shape}" for name, shape in inputs[:5])
            raise ValueError(f"{name}: takes {shapes}; wanted is one batch of images, (N, 3, H, W)")
        self._input, shape = inputs[0]
        self._image_shape = tuple(shape[1:])

    def run(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != self._image_shape:
            raise ValueError(
                f"images are {batch.shape[2]}x{batch.shape[3]} (height x width); {self._name} "
                f"takes {self._image_shape[1]}x{self._image_shape[2]}"
            )
        found = self._session.run({self._input: batch})
        if self._single is not None:
            parity = Parity.of(self._single.run({self._input: batch}), found)
            logger.warning("%s in bfloat16 against float32: %s", self._name, parity)
            self._single = None
        return found[0]

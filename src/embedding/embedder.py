"""Images to embeddings: a network, and the engine that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import functools
import hashlib
import logging
import os
from typing import Any

import numpy as np

from ..checkpoints.network import StoredNetwork, read_network
from ..checkpoints.pixels import tell_of_raw_pixels
from ..engines.cache import ConversionCache
from ..engines.choice import Engine, choose_engine
from ..engines.model_input import UNDECLARED, Declaration
from ..engines.onnx_file import read_onnx
from ..engines.parity import Parity
from .image_embedder import ImageEmbedder
from .onnx_file_runner import OnnxFileRunner
from .runners import OnnxRunner, Runner

logger = logging.getLogger(__name__)


class Embedder(ImageEmbedder):
    """A checkpoint or an ONNX file on the engine that fits.

    checkpoint: "prefix,number", or FILE.onnx as exported, or its bytes.  declared, preset: what
    an ONNX file of others is fed (engines/model_input.py); the first goes before.  ctx: an
    mx.Context, a GPU's number (-1 is the CPU), or several that share every batch; None is the CPU.
    batch_size: images per forward pass, all devices together.  engine: "auto", "mxnet" or
    "onnxruntime"; what runs is logged.  dtype: what products are computed in, "float32" or
    "bfloat16".  input: what an ONNX file of others is fed, None for networks of ours.
    fingerprint: SHA-256 of symbol and parameters, or of the ONNX file, 64 digits.
    Threads may share it: they take turns.
    Raises FileNotFoundError or ValueError if the checkpoint is missing, damaged or not a network
    with an embedding, or for an engine that cannot be had.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike | bytes,
        ctx: Any = None,
        *,
        batch_size: int = 32,
        flip: bool = True,
        normalize: bool = True,
        engine: str = "auto",
        dtype: str = "float32",
        declared: Declaration = UNDECLARED,
        preset: Declaration = UNDECLARED,
    ):
        super().__init__(batch_size, flip, normalize)
        self.input: Declaration | None = None
        in_memory = isinstance(checkpoint, bytes)
        checkpoint = checkpoint if in_memory else os.fspath(checkpoint)
        name = "the exported network.onnx" if in_memory else checkpoint
        self.engine = _chosen(name, engine, ctx, dtype)
        if name.endswith(".onnx"):
            model = checkpoint if in_memory else read_onnx(checkpoint)
            self.fingerprint = hashlib.sha256(model).hexdigest()
            runner = OnnxFileRunner(model, self.engine, name, declared, preset)
            self._runner: Runner = runner
            self.input = None if runner.is_ours else runner.input
            return
        network = read_network(checkpoint)
        self.fingerprint = network.fingerprint
        tell_of_raw_pixels(f"checkpoint {checkpoint!r}", network.graph)
        load = _once_then(network, checkpoint)
        name = f"checkpoint {checkpoint!r}"
        self._runner = _runner(load, self.engine, batch_size, ConversionCache(), name=name)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the images, None where the first ones decide."""
        return self._runner.input.size if isinstance(self._runner, OnnxFileRunner) else None

    @property
    def cost(self) -> Parity | None:
        """Of another dtype than float32 what it cost the first images; None where not measured."""
        network = getattr(self._runner, "network", None)
        return network.cost if network is not None else None

    @property
    def facts(self) -> dict[str, str]:
        """What decides the embeddings besides the images: model, engine, dtype, and the input of
        an ONNX file of others."""
        chosen = self.engine
        found = {"model": self.fingerprint, "engine": chosen.name, "dtype": chosen.dtype}
        return found | ({"input": self.input.describe()} if self.input else {})

    @staticmethod
    def from_parameters(
        symbol: Any,
        arg_params: Mapping[str, Any],
        aux_params: Mapping[str, Any],
        ctx: Any = None,
        **options: Any,
    ) -> ParameterEmbedder:
        """Return a ParameterEmbedder; options as above."""
        return ParameterEmbedder(symbol, arg_params, aux_params, ctx, **options)

    def forward(self, batch: np.ndarray) -> np.ndarray:
        with self._lock:
            return self._runner.run(batch)


class ParameterEmbedder(ImageEmbedder):
    """A symbol that holds "fc1", such as a training symbol, with parameters in memory.

    symbol: mx.sym.Symbol.  The parameters are copied; those of other layers (a classifier) are
    left aside.  Options as Embedder.  The conversion is kept nowhere, and compared with MXNet
    once for each embedder.  Raises ValueError naming what is missing.
    """

    def __init__(
        self,
        symbol: Any,
        arg_params: Mapping[str, Any],
        aux_params: Mapping[str, Any],
        ctx: Any = None,
        *,
        batch_size: int = 32,
        flip: bool = True,
        normalize: bool = True,
        engine: str = "auto",
        dtype: str = "float32",
    ):
        super().__init__(batch_size, flip, normalize)
        self.engine = _chosen("", engine, ctx, dtype)
        self._symbol, self._prove = symbol, True
        self.set_parameters(arg_params, aux_params)

    def set_parameters(self, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any]) -> None:
        """Use other parameters, as between two steps of training.  Raises as the class does."""
        network = StoredNetwork.of(self._symbol, arg_params, aux_params)
        self._runner = _runner(
            lambda: network, self.engine, self.batch_size, cache=None, prove=self._prove
        )

    def forward(self, batch: np.ndarray) -> np.ndarray:
        with self._lock:
            embeddings = self._runner.run(batch)
            self._prove = False  # the same graph from now on, with other parameters
            return embeddings


def _runner(
    load: Callable[[], StoredNetwork],
    engine: Engine,
    batch_size: int,
    cache: ConversionCache | None,
    *,
    prove: bool = True,
    name: str = "the network",
) -> Runner:
    if engine.name == "onnxruntime":
        return OnnxRunner(load, engine, cache=cache, prove=prove, name=name)
    from .mxnet_runner import MxnetRunner  # imports MXNet

    return MxnetRunner(load, engine.devices, batch_size, name)


def _once_then(network: StoredNetwork, checkpoint: str) -> Callable[[], StoredNetwork]:
    """Return a function that hands out the network, and reads it again from the second time on.

    So its parameters are not held beside those of what runs them.  The function raises ValueError
    if the files have become another network meanwhile.
    """
    held, fingerprint = [network], network.fingerprint

    def load() -> StoredNetwork:
        loaded = held.pop() if held else read_network(checkpoint)
        if loaded.fingerprint != fingerprint:
            raise ValueError(
                f"checkpoint {checkpoint!r} was another network when it was opened; open it anew"
            )
        return loaded

    return load


def _chosen(model: str, engine: str, ctx: Any, dtype: str) -> Engine:
    chosen = choose_engine(model, engine, ctx, dtype)
    _say_once(f"embedding by {chosen}")
    return chosen


@functools.cache
def _say_once(message: str) -> None:
    logger.info("%s", message)

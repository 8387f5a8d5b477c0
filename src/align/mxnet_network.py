"""A detector's network on MXNet, whatever the shape of its images."""

from __future__ import annotations

import threading

import mxnet as mx
import numpy as np

from ..checkpoints.load import as_symbol
from ..checkpoints.network import StoredNetwork
from ..devices import mxnet_device
from ..ops import fast_graph


class MxnetNetwork:
    """A network on one device; no time is lost over a new input shape.

    gpu: CUDA's number, -1 for the CPU.  Safe to use from several threads: they take turns.
    """

    def __init__(self, network: StoredNetwork, gpu: int):
        self._context = mxnet_device(gpu)
        self._symbol = as_symbol(network.graph)
        self._names: list[str] = self._symbol.list_inputs()
        self._parameters = {
            name: mx.nd.array(array, self._context) for name, array in network.parameters.items()
        }
        self._operator: mx.nd.CachedOp | None = None
        self._lock = threading.Lock()

    def run(self, data: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for data float32 (N, C, H, W)."""
        with self._lock:
            if self._operator is None:
                graph = fast_graph(self._symbol, self._context, {"data": (1, *data.shape[1:])})
                # Unlike an executor it is not bound to one shape: images come in any.
                self._operator = mx.nd.CachedOp(graph)
            arrays = self._parameters | {"data": mx.nd.array(data, self._context)}
            outputs = self._operator(*(arrays[name] for name in self._names))
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            return [output.asnumpy() for output in outputs]

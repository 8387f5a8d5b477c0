"""A small network run on inputs of any shape."""

from __future__ import annotations

import threading

import mxnet as mx
import numpy as np

from ..ops import fast_graph
from ..training.checkpoints import load_checkpoint


class BoundNetwork:
    """A checkpoint ready to run on a device; no time is lost over a new input shape.

    Safe to use from several threads: they take turns.  Raises what load_checkpoint does, and
    ValueError if a parameter is missing.
    """

    def __init__(self, checkpoint: str, ctx: mx.Context):
        symbol, arguments, states = load_checkpoint(checkpoint)
        symbol, parameters = fast_graph(symbol, ctx), arguments | states
        self._ctx, self._names = ctx, symbol.list_inputs()
        self._parameters = {
            name: parameters[name].as_in_context(ctx) for name in self._names if name in parameters
        }
        # The softmax layers of old checkpoints have a label, which plays no part here.
        self._labels = [name for name in self._names if name.endswith("_label")]
        missing = {*self._names} - {"data", *self._labels} - self._parameters.keys()
        if missing:
            raise ValueError(f"checkpoint {checkpoint!r} lacks {', '.join(sorted(missing))}")
        # Unlike an executor it is not bound to one shape: images come in any.
        self._operator = mx.nd.CachedOp(symbol)
        self._lock = threading.Lock()

    def run(self, data: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for data float32 (N, C, H, W)."""
        with self._lock:
            arrays = self._parameters | {"data": mx.nd.array(data, self._ctx)}
            arrays |= {name: mx.nd.zeros(len(data), self._ctx) for name in self._labels}
            outputs = self._operator(*(arrays[name] for name in self._names))
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            return [output.asnumpy() for output in outputs]

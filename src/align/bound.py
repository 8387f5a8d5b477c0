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
        symbol = fast_graph(symbol, ctx)
        names = symbol.list_inputs()
        missing = sorted({*names} - {"data"} - arguments.keys() - states.keys())
        if missing:
            raise ValueError(f"checkpoint {checkpoint!r} lacks {', '.join(missing)}")
        parameters = arguments | states
        self._ctx = ctx
        self._data = names.index("data")
        self._inputs = [
            None if name == "data" else parameters[name].as_in_context(ctx) for name in names
        ]
        # Unlike an executor it is not bound to one shape: images come in any.
        self._operator = mx.nd.CachedOp(symbol)
        self._lock = threading.Lock()

    def run(self, data: np.ndarray) -> dict[int, np.ndarray]:
        """Return the outputs for data float32 (N, 3, H, W), keyed by their number of channels.

        MTCNN's outputs differ in it: 2 probabilities, 4 box numbers, 10 landmark numbers.
        """
        with self._lock:
            inputs = list(self._inputs)
            inputs[self._data] = mx.nd.array(data, self._ctx)
            outputs = self._operator(*inputs)
            return {output.shape[1]: output.asnumpy() for output in outputs}

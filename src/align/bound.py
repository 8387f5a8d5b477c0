"""A small network run on inputs of many shapes."""

from __future__ import annotations

from collections import OrderedDict
import threading

import mxnet as mx
import numpy as np

from ..ops import fast_graph
from ..training.checkpoints import load_checkpoint

MAX_EXECUTORS = 16
MAX_KEPT_SIZE = 3 * 512 * 512  # values; binding is nothing beside running a larger input


class BoundNetwork:
    """A checkpoint bound to a device, once per input shape; the parameters are shared.

    Safe to use from several threads: they take turns.
    """

    def __init__(self, checkpoint: str, ctx: mx.Context):
        symbol, arguments, states = load_checkpoint(checkpoint)
        self._symbol, self._ctx = fast_graph(symbol, ctx), ctx
        self._arguments = {name: array.as_in_context(ctx) for name, array in arguments.items()}
        self._states = {name: array.as_in_context(ctx) for name, array in states.items()}
        self._executors: OrderedDict[tuple, mx.executor.Executor] = OrderedDict()
        self._lock = threading.Lock()

    def run(self, data: np.ndarray) -> dict[int, np.ndarray]:
        """Return the outputs for data float32 (N, 3, H, W), keyed by their number of channels.

        MTCNN's outputs differ in it: 2 probabilities, 4 box numbers, 10 landmark numbers.
        """
        with self._lock:
            executor = self._executor(data.shape)
            executor.arg_dict["data"][:] = data
            outputs = executor.forward(is_train=False)
            return {output.shape[1]: output.asnumpy() for output in outputs}

    def _executor(self, shape: tuple[int, ...]) -> mx.executor.Executor:
        if shape in self._executors:
            self._executors.move_to_end(shape)
            return self._executors[shape]
        executor = self._bind(shape)
        if np.prod(shape) <= MAX_KEPT_SIZE:
            self._executors[shape] = executor
            if len(self._executors) > MAX_EXECUTORS:
                self._executors.popitem(last=False)
        return executor

    def _bind(self, shape: tuple[int, ...]) -> mx.executor.Executor:
        shapes, _, _ = self._symbol.infer_shape(data=shape)
        arguments = dict(self._arguments)
        for name, needed in zip(self._symbol.list_arguments(), shapes, strict=True):
            if name not in arguments:  # the data, and the label of an old softmax layer
                arguments[name] = mx.nd.zeros(needed, self._ctx)
        return self._symbol.bind(
            self._ctx, arguments, aux_states=self._states or None, grad_req="null"
        )

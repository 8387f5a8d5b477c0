"""A network bound by MXNet on one or several devices that share every batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math

import mxnet as mx
import numpy as np

from ..checkpoints.load import as_symbol
from ..checkpoints.network import StoredNetwork
from ..checkpoints.slices import refuse_empty_slices
from ..devices import mxnet_device
from ..ops import fast_graph


class MxnetRunner:
    """Executors of a stored network, bound for the size of the first images.

    load: returns the network; called again for images of another size.  devices: numbers of GPUs,
    -1 for a CPU.  batch_size: images per pass, all devices together.
    """

    def __init__(
        self,
        load: Callable[[], StoredNetwork],
        devices: Sequence[int],
        batch_size: int,
        name: str = "the network",
    ):
        self._load, self._name = load, name
        self._devices = [mxnet_device(number, place) for place, number in enumerate(devices)]
        self._share = -(-batch_size // len(self._devices))
        self._executors: list[mx.executor.Executor] = []
        self._input_shape: tuple[int, ...] = ()

    def run(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != self._input_shape:
            self._bind(batch.shape[1:])
        outputs = []
        for number, executor in enumerate(self._executors):
            share = batch[number * self._share : (number + 1) * self._share]
            if not len(share):
                break
            executor.forward(is_train=False, data=mx.nd.array(_padded(share, self._share)))
            outputs.append((executor.outputs[0], len(share)))
        return np.concatenate([output.asnumpy()[:rows] for output, rows in outputs])

    def _bind(self, input_shape: tuple[int, ...]) -> None:
        network = self._load()
        symbol = as_symbol(network.graph)
        refuse_empty_slices(symbol, {"data": (1, *input_shape)}, self._name)
        _check_shapes(symbol, network, input_shape, self._name)
        _check_sizes(symbol, network, input_shape, self._name)
        shapes = {"data": (self._share, *input_shape)}
        symbol = fast_graph(symbol, self._devices, shapes, training=False)
        self._executors = [
            symbol.simple_bind(device, grad_req="null", **shapes) for device in self._devices
        ]
        for executor in self._executors:
            for arrays in (executor.arg_dict, executor.aux_dict):
                for name in arrays.keys() - {"data"}:
                    arrays[name][:] = network.parameters[name]
        self._input_shape = input_shape


def _check_shapes(
    symbol: mx.sym.Symbol, network: StoredNetwork, input_shape: tuple[int, ...], name: str
) -> None:
    height, width = input_shape[1:]
    try:
        shapes, _, aux_shapes = symbol.infer_shape(data=(1, *input_shape))
    except mx.MXNetError as error:
        raise ValueError(
            f"{name} does not take images of {height}x{width} (height x width): "
            f"{str(error).strip().splitlines()[-1]}"
        ) from None
    wanted = dict(zip(symbol.list_arguments(), shapes, strict=True))
    wanted |= dict(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    for parameter, array in network.parameters.items():
        if array.shape != wanted[parameter]:
            raise ValueError(
                f"{name}: parameter {parameter} is {array.shape}, but images of {height}x{width} "
                f"(height x width) need {wanted[parameter]}: the checkpoint was made for another "
                "image size or embedding size"
            )


def _check_sizes(
    symbol: mx.sym.Symbol, network: StoredNetwork, input_shape: tuple[int, ...], name: str
) -> None:
    """Refuse an empty array, and a Reshape to another number of values: MXNet ends the process."""
    internals = symbol.get_internals()
    found = internals.infer_shape(data=(1, *input_shape))[1]
    shapes = dict(zip(internals.list_outputs(), found, strict=True))
    nodes = network.graph.nodes
    for node in nodes:
        entries = [nodes[entry.node].output_name(entry.output) for entry in node.inputs]
        given = [shapes.get(entry, (1,)) for entry in entries]
        made = shapes.get(node.output_name(0), (1,))
        is_changed = node.operator == "Reshape" and math.prod(given[0]) != math.prod(made)
        if is_changed or any(0 in shape for shape in (*given, made)):
            raise ValueError(
                f"{name}: {node.operator} {node.name!r} makes {made} of {given[:3]}: the symbol is "
                "damaged, or made for another image size"
            )


def _padded(batch: np.ndarray, rows: int) -> np.ndarray:
    """Return the batch with zero images added up to `rows`."""
    if len(batch) == rows:
        return batch
    return np.concatenate([batch, np.zeros((rows - len(batch), *batch.shape[1:]), batch.dtype)])

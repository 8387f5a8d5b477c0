"""One training graph on MXNet in float32, on torch in float32, and on torch in float64."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import tempfile

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.ops import fast_graph
from arcface_mxnet.torch_engine.graph import Program
import mxnet as mx
import numpy as np
import torch

Arrays = dict[str, np.ndarray]
IN_MEMORY = 2 << 30  # bytes kept for gradients there, before more goes to files


@dataclass
class Pass:
    """What a pass through a graph gives."""

    outputs: Arrays
    gradients: Arrays
    statistics: Arrays


def without_dropout(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the graph with every dropout of the network turned off.

    Those of losses/state.py stay: whichever value they draw, the same comes of it.
    """
    import json

    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["op"] == "Dropout" and graph["nodes"][node["inputs"][0][0]]["op"] != "_ones":
            node["op"], node["attrs"] = "_copy", {}
    return mx.sym.load_json(json.dumps(graph))


def draw(symbol: mx.sym.Symbol, shapes: dict, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Return parameters and statistics: He's weights, gammas and slopes as they are in use."""
    rng = np.random.RandomState(seed)
    args, _, auxs = symbol.infer_shape(**shapes)
    params, states = {}, {}
    for name, shape in zip(symbol.list_arguments(), args, strict=True):
        if name in shapes:
            continue
        if name.endswith("_gamma"):
            mean = 0.25 if "relu" in name else 1.0
            value = mean + 0.1 * rng.randn(*shape)
        elif len(shape) > 1:
            value = rng.randn(*shape) * (2 / np.prod(shape[1:])) ** 0.5
        else:
            value = 0.1 * rng.randn(*shape)
        params[name] = value.astype(np.float32)
    for name, shape in zip(symbol.list_auxiliary_states(), auxs, strict=True):
        value = 1 + 0.1 * rng.rand(*shape) if "var" in name else 0.1 * rng.randn(*shape)
        states[name] = value.astype(np.float32)
    return params, states


def on_mxnet(
    symbol: mx.sym.Symbol, inputs: Arrays, params: Arrays, states: Arrays, *, fast: bool = False
) -> Pass:
    """fast: with our own operators, as training binds it."""
    shapes = {name: value.shape for name, value in inputs.items()}
    bound = fast_graph(symbol, mx.cpu(), shapes, training=True) if fast else symbol
    executor = bound.simple_bind(mx.cpu(), grad_req="write", **shapes)
    executor.copy_params_from(
        {k: mx.nd.array(v) for k, v in params.items()},
        {k: mx.nd.array(v) for k, v in states.items()},
    )
    executor.forward(is_train=True, **{k: mx.nd.array(v) for k, v in inputs.items()})
    executor.backward()
    mx.nd.waitall()
    return Pass(
        {k: v.asnumpy() for k, v in zip(symbol.list_outputs(), executor.outputs, strict=True)},
        {k: executor.grad_dict[k].asnumpy() for k in params},
        {k: v.asnumpy() for k, v in executor.aux_dict.items()},
    )


class Kept:
    """What gradients need, beyond IN_MEMORY in files: in float64 it is more than a machine may
    have.  Parameters stay where they are."""

    def __init__(self, folder: str):
        self._folder, self._size, self._count = Path(folder), 0, 0

    def put(self, tensor: torch.Tensor) -> torch.Tensor | Path:
        if tensor.is_leaf and tensor.requires_grad:
            return tensor
        self._size += tensor.numel() * tensor.element_size()
        if self._size <= IN_MEMORY:
            return tensor
        self._count += 1
        path = self._folder / f"{self._count}.npy"
        np.save(path, tensor.detach().numpy())
        return path

    def take(self, kept: torch.Tensor | Path) -> torch.Tensor:
        return torch.from_numpy(np.load(kept)) if isinstance(kept, Path) else kept


def on_torch(
    symbol: mx.sym.Symbol,
    inputs: Arrays,
    params: Arrays,
    states: Arrays,
    dtype: torch.dtype = torch.float32,
    low: torch.dtype | None = None,
) -> Pass:
    graph = parse_graph(symbol.tojson(), "the symbol")
    program = Program(graph, training=True, dtype=low, single=dtype)
    values = {
        name: torch.tensor(value).to(dtype) for name, value in (inputs | params | states).items()
    }
    for name in params:
        values[name].requires_grad_()
    with tempfile.TemporaryDirectory() as folder:
        kept = Kept(folder)
        with torch.autograd.graph.saved_tensors_hooks(kept.put, kept.take):
            outputs, changes = program(values)
        own = [out for out, is_loss in zip(outputs, program.losses, strict=True) if is_loss]
        torch.autograd.backward(own, [torch.ones_like(out) for out in own])
    found = {name: values[name] for name in states}
    for change in changes:
        found[change.state] = change.share * found[change.state] + (1 - change.share) * change.value
    gradients = {
        name: torch.zeros_like(values[name]) if values[name].grad is None else values[name].grad
        for name in params
    }

    def arrays(tensors):
        return {k: v.detach().double().numpy() for k, v in tensors.items()}

    named = dict(zip(program.output_names, outputs, strict=True))
    return Pass(arrays(named), arrays(gradients), arrays(found))

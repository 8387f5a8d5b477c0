"""Handlers of the operators that compute element by element, reduce, cut and join."""

from __future__ import annotations

import numpy as np

from .onnx_graph import OnnxGraph
from .operators import INT64_MAX, OPERATORS, _refuse
from .symbol_graph import PROBE_BATCH, Node

ELEMENTWISE = {
    "Add": ("elemwise_add", "broadcast_add"),
    "Sub": ("elemwise_sub", "broadcast_sub"),
    "Mul": ("elemwise_mul", "broadcast_mul"),
    "Div": ("elemwise_div", "broadcast_div"),
    "Max": ("_maximum", "broadcast_maximum"),
    "Min": ("_minimum", "broadcast_minimum"),
    "Sum": ("add_n",),
    "Relu": ("relu",),
    "Sigmoid": ("sigmoid",),
    "Sqrt": ("sqrt",),
    "Exp": ("exp",),
    "Abs": ("abs",),
    "Neg": ("negative",),
    "Flatten": ("Flatten",),
}


def _elementwise(op_type: str):
    def handler(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
        graph.add(op_type, inputs, node.outputs[0])

    return handler


for _op_type, _names in ELEMENTWISE.items():
    OPERATORS.register(*_names)(_elementwise(_op_type))


# operator: ONNX operator, whether the scalar comes first
WITH_SCALAR = {
    "_plus_scalar": ("Add", False),
    "_minus_scalar": ("Sub", False),
    "_rminus_scalar": ("Sub", True),
    "_mul_scalar": ("Mul", False),
    "_div_scalar": ("Div", False),
    "_rdiv_scalar": ("Div", True),
    "_power_scalar": ("Pow", False),
    "_maximum_scalar": ("Max", False),
    "_minimum_scalar": ("Min", False),
}


def _with_scalar(op_type: str, is_first: bool):
    def handler(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
        scalar = graph.constant(f"{node.name}_scalar", np.float32(node.attributes["scalar"]))
        operands = [scalar, inputs[0]] if is_first else [inputs[0], scalar]
        graph.add(op_type, operands, node.outputs[0])

    return handler


for _name, (_op_type, _is_first) in WITH_SCALAR.items():
    OPERATORS.register(_name)(_with_scalar(_op_type, _is_first))


@OPERATORS.register("square")
def square(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    graph.add("Mul", [inputs[0], inputs[0]], node.outputs[0])


@OPERATORS.register("clip")
def clip(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    limits = [
        graph.constant(f"{node.name}_{key}", np.float32(node.attributes[key]))
        for key in ("a_min", "a_max")
    ]
    graph.add("Clip", [inputs[0], *limits], node.outputs[0])


def _reduction(op_type: str):
    def handler(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
        rank = len(graph.shape(node.inputs[0]))
        axes = node.get("axis", ())
        axes = {a % rank for a in ((axes,) if isinstance(axes, int) else axes)}
        if node.get("exclude", False):
            axes = set(range(rank)) - axes
        kept = {"keepdims": int(node.get("keepdims", False))}
        axes = sorted(axes or range(rank))
        if op_type == "ReduceSum":  # the only one whose axes are an input in opset 17
            inputs = [inputs[0], graph.constant(f"{node.name}_axes", np.array(axes, np.int64))]
        else:
            kept["axes"] = axes
        if node.operator == "norm" and node.get("ord", 2) != 2:
            raise _refuse(node, "a norm of another order than 2")
        graph.add(op_type, inputs, node.outputs[0], **kept)

    return handler


for _name, _op_type in {
    "mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin",
    "norm": "ReduceL2",
}.items():  # fmt: skip
    OPERATORS.register(_name)(_reduction(_op_type))


@OPERATORS.register("Concat")
def concat(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    graph.add("Concat", inputs, node.outputs[0], axis=node.get("dim", 1))


@OPERATORS.register("SliceChannel")
def slice_channel(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    axis = node.get("axis", 1)
    if not node.get("squeeze_axis", False):
        graph.add("Split", inputs, node.outputs, axis=axis)
        return
    graph.add("Split", inputs, [f"{o}_part" for o in node.outputs], axis=axis)
    axes = graph.constant(f"{node.name}_axes", np.array([axis], np.int64))
    for output in node.outputs:
        graph.add("Squeeze", [f"{output}_part", axes], output)


def _slice(graph: OnnxGraph, node: Node, source: str, axes, starts, ends) -> None:
    limits = [
        graph.constant(f"{node.name}_{key}", np.array(value, np.int64))
        for key, value in (("starts", starts), ("ends", ends), ("axes", axes))
    ]
    graph.add("Slice", [source, *limits], node.outputs[0])


@OPERATORS.register("slice_axis")
def slice_axis(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    end = node.get("end", INT64_MAX)
    _slice(graph, node, inputs[0], [node.attributes["axis"]], [node.attributes["begin"]], [end])


@OPERATORS.register("slice_like")
def slice_like(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    like = graph.shape(node.inputs[1])
    axes = [a % len(like) for a in node.get("axes", ()) or range(len(like))]
    if 0 in axes:
        raise _refuse(node, "a cut along the batch")
    _slice(graph, node, inputs[0], axes, [0] * len(axes), [like[a] for a in axes])


@OPERATORS.register("slice")
def slice_(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    if any(step not in (None, 1) for step in node.get("step", ())):
        raise _refuse(node, "a step other than 1")
    begin, end = node.attributes["begin"], node.attributes["end"]
    starts = [0 if b is None else b for b in begin]
    ends = [INT64_MAX if e is None else e for e in end]
    _slice(graph, node, inputs[0], list(range(len(begin))), starts, ends)


@OPERATORS.register("transpose")
def transpose(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    rank = len(graph.shape(node.inputs[0]))
    axes = node.get("axes", ()) or range(rank)[::-1]
    graph.add("Transpose", inputs, node.outputs[0], perm=list(axes))


@OPERATORS.register("SwapAxis")
def swap_axis(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    order = list(range(len(graph.shape(node.inputs[0]))))
    a, b = node.get("dim1", 0), node.get("dim2", 0)
    order[a], order[b] = order[b], order[a]
    graph.add("Transpose", inputs, node.outputs[0], perm=order)


@OPERATORS.register("Reshape")
def reshape(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    """Keep the batch free: the first axis is copied where it stays, else worked out."""
    before, after = graph.shape(node.inputs[0]), graph.shape(node.outputs[0])
    first = 0 if before[0] == after[0] == PROBE_BATCH else -1
    target = graph.constant(f"{node.name}_shape", np.array([first, *after[1:]], np.int64))
    graph.add("Reshape", [inputs[0], target], node.outputs[0])


@OPERATORS.register("expand_dims")
def expand_dims(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    axes = graph.constant(f"{node.name}_axes", np.array([node.attributes["axis"]], np.int64))
    graph.add("Unsqueeze", [inputs[0], axes], node.outputs[0])


@OPERATORS.register("Pad")
def pad(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    mode = node.attributes["mode"]
    width = node.attributes["pad_width"]  # before, after of each axis in turn
    pads = graph.constant(f"{node.name}_pads", np.array(width[::2] + width[1::2], np.int64))
    value = graph.constant(f"{node.name}_value", np.float32(node.get("constant_value", 0)))
    inputs = [inputs[0], pads, value] if mode == "constant" else [inputs[0], pads]
    graph.add("Pad", inputs, node.outputs[0], mode=mode)

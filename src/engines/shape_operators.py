"""Handlers of the operators that compute element by element, reduce, cut and join."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np

from ..checkpoints.nodes import Node
from ..checkpoints.options import Options
from .onnx_graph import OnnxGraph, Shape
from .operators import INT64_MAX, add_padding, operator, output_of

Cut = tuple[int | None, int | None, int]  # begin, end, step
# ONNX operator: MXNet's, of one input; of two of the same shape; of two that broadcast
OF_ONE = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Sqrt": "sqrt", "Exp": "exp", "Abs": "abs",
    "Neg": "negative", "Flatten": "Flatten",
}  # fmt: skip
OF_TWO = {
    "Add": "elemwise_add", "Sub": "elemwise_sub", "Mul": "elemwise_mul", "Div": "elemwise_div",
    "Max": "_maximum", "Min": "_minimum",
}  # fmt: skip
BROADCAST = {
    "Add": "broadcast_add", "Sub": "broadcast_sub", "Mul": "broadcast_mul",
    "Div": "broadcast_div", "Max": "broadcast_maximum", "Min": "broadcast_minimum",
}  # fmt: skip


def _elementwise(op_type: str, is_same: bool):
    def handler(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
        if is_same:
            _check_same_shapes(graph, inputs, options)
        return graph.add(op_type, inputs, output_of(node))

    return handler


def _check_same_shapes(graph: OnnxGraph, inputs: list[str], options: Options) -> None:
    """Refuse what MXNet would not add up and ONNX would broadcast."""
    if len({graph.shapes(name) for name in inputs}) > 1:
        shapes = " and ".join(str(graph.shape(name)) for name in inputs)
        raise options.refusal(f"operands of different shapes, {shapes},")


for _op_type, _name in OF_ONE.items():
    operator(_name)(_elementwise(_op_type, False))
for _op_type, _name in OF_TWO.items():
    operator(_name, inputs=2)(_elementwise(_op_type, True))
for _op_type, _name in BROADCAST.items():
    operator(_name, inputs=2)(_elementwise(_op_type, False))


@operator("add_n", inputs=None)
def add_n(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    options.ignore("num_args")
    _check_same_shapes(graph, inputs, options)
    return graph.add("Sum", inputs, output_of(node))


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
    def handler(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
        options.ignore("is_int")  # of the scalar as it was written
        value = np.array(options.number("scalar"), np.float32)
        scalar = graph.constant(f"{node.name}_scalar", value)
        operands = [scalar, inputs[0]] if is_first else [inputs[0], scalar]
        return graph.add(op_type, operands, output_of(node))

    return handler


for _name, (_op_type, _is_first) in WITH_SCALAR.items():
    operator(_name)(_with_scalar(_op_type, _is_first))


@operator("square")
def square(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    return graph.add("Mul", [inputs[0], inputs[0]], output_of(node))


@operator("clip")
def clip(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    values = [options.number(key) for key in ("a_min", "a_max")]
    if not values[0] <= values[1]:  # MXNet looks at a_max first, ONNX at the least
        raise options.refusal("a_min {} above a_max {}".format(*values))
    limits = [
        graph.constant(f"{node.name}_{key}", np.array(value, np.float32))
        for key, value in zip(("a_min", "a_max"), values, strict=True)
    ]
    return graph.add("Clip", [inputs[0], *limits], output_of(node))


def _reduction(op_type: str):
    def handler(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
        rank = graph.rank(inputs[0])
        axes, is_kept = options.axes("axis", rank), options.flag("keepdims", False)
        if node.operator == "norm":
            if options.integer("ord", 2) != 2:
                raise options.refusal("a norm of another order than 2")
            if (kind := options.word("out_dtype", "float32")) != "float32":
                raise options.refusal(f"a norm in {kind}")
        elif options.flag("exclude", False):
            axes = [axis for axis in range(rank) if axis not in axes]
            if not axes:
                return inputs[0]
        axes, kept = sorted(axes or range(rank)), int(is_kept)
        if len(axes) < rank or is_kept:
            return graph.add_over(op_type, inputs[0], output_of(node), axes, keepdims=kept)
        single = graph.add_over(op_type, inputs[0], f"{node.name}_single", axes, keepdims=kept)
        return graph.add_over("Unsqueeze", single, output_of(node), [0])  # () -> (1,), as in MXNet

    return handler


for _name, _op_type in {
    "mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin",
    "norm": "ReduceL2",
}.items():  # fmt: skip
    operator(_name)(_reduction(_op_type))


@operator("Concat", inputs=None)
def concat(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    options.ignore("num_args")
    axis = options.axis("dim", graph.rank(inputs[0]), 1)
    return graph.add("Concat", inputs, output_of(node), axis=axis)


@operator("SliceChannel")
def slice_channel(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> list[str]:
    axis = options.axis("axis", graph.rank(inputs[0]), 1)
    size, count = graph.shape(inputs[0])[axis], options.integer("num_outputs")
    if size is None or size % count:
        raise options.refusal(f"an axis of {size or 'free'} values in {count} parts")
    names = [node.output_name(number) for number in range(count)]
    if not options.flag("squeeze_axis", False):
        return graph.add_split(inputs[0], names, axis)
    if size != count:
        raise options.refusal(f"squeezing parts of {size // count} values")
    parts = graph.add_split(inputs[0], [f"{name}_part" for name in names], axis)
    return [
        graph.add_over("Squeeze", part, name, [axis])
        for part, name in zip(parts, names, strict=True)
    ]


def _slice(
    graph: OnnxGraph,
    node: Node,
    source: str,
    options: Options,
    cuts: dict[int, Cut],
) -> str:
    """Cut axes to begin, end, step; None for all that is there."""
    cuts = {axis: cut for axis, cut in cuts.items() if cut not in ((None, None, 1), (0, None, 1))}
    if not cuts:
        return source
    shape = graph.shape(source)
    for axis, (*limits, step) in cuts.items():
        size = shape[axis]
        if axis == 0:
            raise options.refusal("a cut along the batch")
        if size is not None and any(n is not None and not -size <= n <= size for n in limits):
            raise options.refusal(f"a cut {tuple(limits)} out of {size}")
        if step == 0 or (step < 0 and limits[0] == size):
            raise options.refusal(f"a cut {tuple(limits)} out of {size} in steps of {step}")
    begins, ends, steps = zip(*cuts.values(), strict=True)
    signs = [1 if step > 0 else -1 for step in steps]
    columns = {
        "starts": [min(0, s) if n is None else n for n, s in zip(begins, signs, strict=True)],
        "ends": [s * INT64_MAX if n is None else n for n, s in zip(ends, signs, strict=True)],
        "axes": cuts,
        "steps": steps,
    }
    limits = [
        graph.constant(f"{node.name}_{k}", np.array([*v], np.int64)) for k, v in columns.items()
    ]
    return graph.add("Slice", [source, *limits], output_of(node))


@operator("slice_axis")
def slice_axis(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    axis = options.axis("axis", graph.rank(inputs[0]))
    cut = options.integer("begin"), options.integer("end", None), 1
    return _slice(graph, node, inputs[0], options, {axis: cut})


@operator("slice_like", inputs=2)
def slice_like(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    rank, sizes = graph.rank(inputs[0]), graph.shape(inputs[1])
    axes = options.axes("axes", rank) or range(rank)
    if len(sizes) <= max(axes):
        raise options.refusal(f"a cut of {rank} axes like {len(sizes)}")
    cuts = {}
    for axis in axes:
        own, other = (tuple(shape[axis] for shape in graph.shapes(name)) for name in inputs)
        if own != other and sizes[axis] is None:
            raise options.refusal("a cut like another tensor without a fixed image size")
        if own != other:
            cuts[axis] = (0, sizes[axis], 1)
    return _slice(graph, node, inputs[0], options, cuts)


@operator("slice")
def slice_(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    begin, end = options.places("begin"), options.places("end")
    steps = options.places("step") or (1,) * len(begin)
    if not len(begin) == len(end) == len(steps) <= graph.rank(inputs[0]):
        raise options.refusal(f"begin {begin} with end {end} and step {steps}")
    steps = [1 if step is None else step for step in steps]
    cuts = dict(enumerate(zip(begin, end, steps, strict=True)))
    return _slice(graph, node, inputs[0], options, cuts)


@operator("transpose")
def transpose(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    rank = graph.rank(inputs[0])
    axes = options.axes("axes", rank) or range(rank)[::-1]
    if len(axes) != rank:
        raise options.refusal(f"an order of {len(axes)} axes for {rank}")
    return graph.add("Transpose", inputs, output_of(node), perm=list(axes))


@operator("SwapAxis")
def swap_axis(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    rank = graph.rank(inputs[0])
    order = list(range(rank))
    a, b = options.axis("dim1", rank, 0), options.axis("dim2", rank, 0)
    order[a], order[b] = order[b], order[a]
    return graph.add("Transpose", inputs, output_of(node), perm=order)


@operator("expand_dims")
def expand_dims(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    axis = options.axis("axis", graph.rank(inputs[0]) + 1)
    return graph.add_over("Unsqueeze", inputs[0], output_of(node), [axis])


@operator("Pad")
def pad(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    mode, filling = options.word("mode"), options.number("constant_value", 0)
    width = options.integers("pad_width")  # before, after of each axis in turn
    if mode not in ("constant", "edge", "reflect"):
        raise options.refusal(f"mode {mode}")
    if len(width) != 2 * graph.rank(inputs[0]) or min(width) < 0 or any(width[:4]):
        raise options.refusal(f"padding by {width}")
    pads = width[::2] + width[1::2]
    return add_padding(graph, inputs[0], output_of(node), pads, mode, filling)


@operator("Reshape")
def reshape(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    """Keep what is free: an axis that stays in its place is copied, one other is worked out."""
    spec, is_reversed = options.integers("shape", ()), options.flag("reverse", False)
    options.ignore("keep_highest")  # of target_shape
    if not spec or any(options.integers("target_shape", ())):
        raise options.refusal("the option target_shape in place of shape")
    before = graph.shapes(inputs[0])
    after = [reshaped(shape, spec, is_reversed) for shape in before]
    if None in after:
        raise options.refusal(f"shape {spec} of {graph.shape(inputs[0])}")
    target = []
    for axis, sizes in enumerate(zip(*after, strict=True)):
        if len(set(sizes)) == 1:
            target.append(sizes[0])
        elif sizes == tuple(shape[axis] if axis < len(shape) else 0 for shape in before):
            target.append(0)
        else:
            target.append(-1)
    if target.count(-1) > 1:
        raise options.refusal(f"shape {spec} without a fixed image size")
    shape = graph.constant(f"{node.name}_shape", np.array(target, np.int64))
    return graph.add("Reshape", [inputs[0], shape], output_of(node))


def reshaped(shape: Shape, spec: Sequence[int], is_reversed: bool = False) -> Shape | None:
    """Return what MXNet's Reshape makes of a shape, None if it cannot.

    spec: sizes, and 0 copies an axis, -1 takes what is left, -2 copies all axes that remain, -3
    joins two, -4 splits one into the two sizes after it, one of which may be -1.  is_reversed
    reads both from the end.  Source: MXNet's documentation of Reshape.
    """
    source = list(shape[::-1] if is_reversed else shape)
    codes = list(spec[::-1] if is_reversed else spec)
    total = math.prod(shape)
    made: list[int] = []
    place = 0  # in source
    while codes:
        code = codes.pop(0)
        read = {0: 1, -3: 2, -4: 1}.get(code, 0)
        if code < -4 or (read and place + read > len(source)):
            return None
        if code == -2:
            made += source[place:]
            place = len(source)
        elif code == -3:
            made.append(source[place] * source[place + 1])
            place += 2
        elif code == -4:
            if len(codes) < 2:
                return None
            one, other = codes.pop(0), codes.pop(0)
            if -1 in (one, other):
                known = other if one == -1 else one
                if known < 1 or source[place] % known:
                    return None
                one, other = (
                    (source[place] // known, other) if one == -1 else (one, source[place] // known)
                )
            if one < 1 or one * other != source[place]:
                return None
            made += [one, other]
            place += 1
        else:
            made.append(source[place] if code == 0 else code)
            place += 1
    if made.count(-1) == 1:
        rest = math.prod(size for size in made if size != -1)
        if not rest or total % rest:
            return None
        made[made.index(-1)] = total // rest
    if -1 in made or math.prod(made) != total:
        return None
    return tuple(made[::-1] if is_reversed else made)

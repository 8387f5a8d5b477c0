"""Handlers of the operators that compute element by element, reduce, cut, join and reorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .onnx_node import OnnxNode
from .onnx_operators import handler, short
from .preprocessing import changed_pixels
from .symbol_writer import Shape, Tensor

if TYPE_CHECKING:
    from .importer import Importer

# ONNX operator: MXNet's of the same shapes, of shapes that broadcast, with a number after, before
OF_TWO = {
    "Add": ("elemwise_add", "broadcast_add", "_plus_scalar", "_plus_scalar"),
    "Sub": ("elemwise_sub", "broadcast_sub", "_minus_scalar", "_rminus_scalar"),
    "Mul": ("elemwise_mul", "broadcast_mul", "_mul_scalar", "_mul_scalar"),
    "Div": ("elemwise_div", "broadcast_div", "_div_scalar", "_rdiv_scalar"),
    "Max": ("_maximum", "broadcast_maximum", "_maximum_scalar", "_maximum_scalar"),
    "Min": ("_minimum", "broadcast_minimum", "_minimum_scalar", "_minimum_scalar"),
    "Pow": ("", "", "_power_scalar", ""),
}
ROLES = {"Add": "beta", "Sub": "beta", "Mul": "gamma", "Div": "gamma"}  # of a stored operand
OF_ONE = {"Sqrt": "sqrt", "Exp": "exp", "Abs": "abs", "Neg": "negative"}
REDUCTIONS = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min",
    "ReduceL2": "norm",
}  # fmt: skip


@handler(*OF_ONE)
def of_one(importer: Importer, node: OnnxNode) -> Tensor:
    made = importer.writer.add(OF_ONE[node.operator], node.layer, [node.data().entry])
    return importer.computed(node, made)


@handler(*OF_TWO)
def of_two(importer: Importer, node: OnnxNode) -> Tensor:
    if len(node.inputs) != 2 or None in node.inputs:
        raise node.refusal(f"{len(node.inputs)} operands")
    left, right = node.inputs
    if left.entry is None or right.entry is None:
        return _with_stored(importer, node)
    same, broadcast, *_ = OF_TWO[node.operator]
    if not same:
        raise node.refusal("two results of other layers")
    if left.shapes == right.shapes:
        made = importer.writer.add(same, node.layer, [left.entry, right.entry])
        return importer.computed(node, made)
    rank = max(left.rank, right.rank)
    entries = [importer.of_rank(tensor, rank, node) for tensor in (left, right)]
    return importer.computed(node, importer.writer.add(broadcast, node.layer, entries))


def _with_stored(importer: Importer, node: OnnxNode) -> Tensor:
    """An operand is stored: a number, or an array that broadcasts, which becomes a parameter."""
    is_first = node.inputs[0].entry is None
    data = node.data(1 if is_first else 0)
    position = 0 if is_first else 1
    value = node.weight(position, "an operand")
    after, before = OF_TWO[node.operator][2:]
    operator = before if is_first else after
    if value.ndim > data.rank and value.size > 1:
        raise node.refusal(f"an operand {value.shape} for {data.shape}")
    if data.pixels is not None:
        return changed_pixels(importer, node, data, value, operator, is_first)
    if value.size == 1 and value.ndim <= data.rank:
        if not operator:
            raise node.refusal("such operands")
        number = short(float(value.reshape(-1)[0]))
        made = importer.writer.add(operator, node.layer, [data.entry], scalar=number)
        return importer.computed(node, made)
    if node.operator not in ROLES:
        raise node.refusal(f"a stored operand {value.shape}")
    shape = (1,) * (data.rank - value.ndim) + value.shape
    role = ROLES[node.operator]
    stored = importer.writer.parameter(
        node.layer, role, value.reshape(shape), node.source(position), shape=shape
    )
    entries = [stored, data.entry] if is_first else [data.entry, stored]
    made = importer.writer.add(OF_TWO[node.operator][1], node.layer, entries)
    return importer.computed(node, made)


@handler("Sum")
def sum_of(importer: Importer, node: OnnxNode) -> Tensor:
    tensors = [node.data(position) for position in range(len(node.inputs))]
    if len({tensor.shapes for tensor in tensors}) != 1:
        raise node.refusal("operands of different shapes")
    made = importer.writer.add(
        "add_n", node.layer, [t.entry for t in tensors], num_args=len(tensors)
    )
    return importer.computed(node, made)


@handler(*REDUCTIONS)
def reduction(importer: Importer, node: OnnxNode) -> Tensor:
    data = node.data()
    axes = node.numbers("axes", 1)
    if node.flag("noop_with_empty_axes") and not axes:
        raise node.refusal("noop_with_empty_axes without axes")
    if any(not -data.rank <= axis < data.rank for axis in axes or ()):
        raise node.refusal(f"axes {axes} of {data.rank}")
    axes = tuple(sorted(axis % data.rank for axis in axes)) if axes else tuple(range(data.rank))
    options = {"ord": 2} if node.operator == "ReduceL2" else {}
    keepdims = node.flag("keepdims", True)
    made = importer.writer.add(
        REDUCTIONS[node.operator], node.layer, [data.entry], axis=axes, keepdims=keepdims,
        **options,
    )  # fmt: skip
    return importer.computed(node, made)


@handler("Expand")
def expand(importer: Importer, node: OnnxNode) -> Tensor:
    """What reads it broadcasts by itself, or meets other shapes than it wants."""
    return node.data()


@handler("Concat")
def concat(importer: Importer, node: OnnxNode) -> Tensor:
    tensors = [node.data(position) for position in range(len(node.inputs))]
    axis = node.axis("axis", tensors[0].rank)
    if axis == 0:
        raise node.refusal("joining along the images")
    made = importer.writer.add(
        "Concat", node.layer, [t.entry for t in tensors], dim=axis, num_args=len(tensors)
    )
    return importer.computed(node, made)


@handler("Split")
def split(importer: Importer, node: OnnxNode) -> list[Tensor]:
    data, count = node.data(), len(node.proto.output)
    axis = node.axis("axis", data.rank, 0)
    node.ignore("num_outputs")
    size = data.shape[axis]
    sizes = node.numbers("split", 1) or ((size or 0) // count,) * count
    if axis == 0 or size is None or len(set(sizes)) > 1 or sum(sizes) != size:
        raise node.refusal(f"parts {sizes} of {size} along axis {axis}")
    made = importer.writer.add(
        "SliceChannel", node.layer, [data.entry], num_outputs=count, axis=axis
    )
    shapes = tuple((*s[:axis], sizes[0], *s[axis + 1 :]) for s in data.shapes)
    return [Tensor(shapes, made._replace(output=number)) for number in range(count)]


@handler("Slice")
def slice_(importer: Importer, node: OnnxNode) -> Tensor:
    data = node.data()
    starts, ends = node.numbers("starts", 1), node.numbers("ends", 2)
    if starts is None or ends is None:
        raise node.refusal("a cut without starts or ends")
    axes = node.numbers("axes", 3) or tuple(range(len(starts)))
    steps = node.stored(4, "steps")
    if steps is not None and any(step != 1 for step in steps.reshape(-1)):
        raise node.refusal("steps other than 1")
    if not len(starts) == len(ends) == len(axes) == len(set(axes)):
        raise node.refusal(f"starts {starts}, ends {ends}, axes {axes}")
    entry, shapes = data.entry, [list(shape) for shape in data.shapes]
    for start, end, axis in zip(starts, ends, axes, strict=True):
        size = data.shape[axis] if -data.rank <= axis < data.rank else None
        if size is None:
            raise node.refusal(f"a cut of axis {axis}")
        begin, stop, _ = slice(start, end).indices(size)
        entry = importer.writer.add(
            "slice_axis", node.layer, [entry], axis=axis % data.rank, begin=begin, end=stop
        )
        if stop <= begin:
            raise node.refusal(f"a cut from {begin} to {stop}")
        for shape in shapes:
            shape[axis] = stop - begin
    return Tensor(tuple(map(tuple, shapes)), entry)


@handler("Pad")
def pad(importer: Importer, node: OnnxNode) -> Tensor:
    data, mode = node.data(), node.word("mode", "constant")
    pads, value = node.numbers("pads", 1), node.stored(2, "a value")
    filling = node.number("value", 0.0) if value is None else float(np.reshape(value, -1)[0])
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        raise node.refusal("axes of the padding")
    if mode not in ("constant", "edge", "reflect") or data.rank != 4 or len(pads or ()) != 8:
        raise node.refusal(f"mode {mode} with pads {pads}")
    if any(pads[:2] + pads[4:6]) or min(pads) < 0:
        raise node.refusal(f"pads {pads}: only height and width are padded, which")
    width = tuple(n for both in zip(pads[:4], pads[4:], strict=True) for n in both)
    made = importer.writer.add(
        "Pad", node.layer, [data.entry], mode=mode, pad_width=width, constant_value=filling
    )
    return importer.computed(node, made)


@handler("Transpose")
def transpose(importer: Importer, node: OnnxNode) -> Tensor:
    data = node.data()
    order = node.integers("perm", tuple(range(data.rank))[::-1])
    if sorted(order) != list(range(data.rank)) or order[0] != 0:
        raise node.refusal(f"an order of axes {order}, which moves the images or is none,")
    return importer.transposed(data, order, node.layer)


@handler("Flatten")
def flatten(importer: Importer, node: OnnxNode) -> Tensor:
    data, axis = node.data(), node.integer("axis", 1)
    if axis not in (1, 1 - data.rank) or not data.has_images_first:
        raise node.refusal(f"axis {axis} of {data.shape}")
    return importer.reshaped(data, [(s[0], int(np.prod(s[1:]))) for s in data.shapes], node)


@handler("Squeeze", "Unsqueeze")
def squeeze(importer: Importer, node: OnnxNode) -> Tensor:
    data, axes = node.data(), node.numbers("axes", 1)
    is_more = node.operator == "Unsqueeze"
    if not axes:
        raise node.refusal("no axes")
    rank = data.rank + len(axes) * is_more
    places = {axis % rank for axis in axes if -rank <= axis < rank}
    if len(places) != len(axes) or (not is_more and any(data.shape[p] != 1 for p in places)):
        raise node.refusal(f"axes {axes} of {data.shape}")
    return importer.reshaped(data, [_reranked(s, places, is_more) for s in data.shapes], node)


def _reranked(shape: Shape, places: set[int], is_more: bool) -> Shape:
    if not is_more:
        return tuple(size for axis, size in enumerate(shape) if axis not in places)
    sizes = iter(shape)
    return tuple(1 if k in places else next(sizes) for k in range(len(shape) + len(places)))


@handler("Reshape")
def reshape(importer: Importer, node: OnnxNode) -> Tensor:
    data, target = node.data(), node.inputs[1] if len(node.inputs) > 1 else None
    specs = target.values if target is not None else None
    if specs is None or node.flag("allowzero"):
        raise node.refusal("a shape that is not known, or allowzero,")
    shapes = []
    for shape, spec in zip(data.shapes, specs, strict=True):
        made = list(map(int, np.reshape(spec, -1)[:32]))
        if made and made[0] == importer.stored_batch and data.has_images_first:
            made[0] = shape[0]  # the file is for so many images, and means all of them
        shapes.append(_resolved(shape, made, node))
    return importer.reshaped(data, shapes, node)


def _resolved(shape: Shape, spec: list[int], node: OnnxNode) -> Shape:
    """Return the shape that 0 (as it was) and -1 (what is left) stand for."""
    made = [shape[k] if n == 0 and k < len(shape) else n for k, n in enumerate(spec)]
    total, rest = int(np.prod(shape)), int(np.prod([n for n in made if n != -1]))
    if made.count(-1) == 1 and rest > 0 and total % rest == 0:
        made[made.index(-1)] = total // rest
    if min(made, default=1) < 1 or int(np.prod(made)) != total:
        raise node.refusal(f"shape {spec} of {shape}")
    return tuple(made)

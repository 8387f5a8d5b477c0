"""What a foreign graph computes without the image: shapes, and weights that are stored otherwise.

Source: the ONNX operators of these names, opset 7 and later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..fetch.onnx_weights import dequantize_blocks
from .onnx_node import OnnxNode

KINDS = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float32, 11: np.float32}
MOST_SHAPE_VALUES = 1 << 16  # that are made of nothing, such as by ConstantOfShape

Values = list[np.ndarray | None]


def _constant(node: OnnxNode, values: Values) -> np.ndarray:
    for name in ("value_int", "value_ints"):
        found = node.integer(name) if name == "value_int" else node.integers(name)
        if found is not None:
            return np.array(found, np.int64)
    if (found := node.number("value_float")) is not None:
        return np.array(found, np.float32)
    value = node.tensor("value")
    if value is None:
        raise ValueError("a constant without numbers")
    return value


def _axes(node: OnnxNode, values: Values, position: int = 1) -> list[int]:
    given = node.integers("axes")
    if given is None:
        given = values[position].tolist() if len(values) > position else []
    return list(given)


def _unsqueeze(node: OnnxNode, values: Values) -> np.ndarray:
    return np.expand_dims(values[0], tuple(_axes(node, values)))


def _squeeze(node: OnnxNode, values: Values) -> np.ndarray:
    return np.squeeze(values[0], tuple(_axes(node, values)) or None)


def _reshape(node: OnnxNode, values: Values) -> np.ndarray:
    node.ignore("allowzero")
    before, target = values[0].shape, values[1].tolist()
    return values[0].reshape([before[i] if n == 0 else n for i, n in enumerate(target)])


def _slice(node: OnnxNode, values: Values) -> np.ndarray:
    if node.integers("starts") is not None:
        starts, ends, steps = node.integers("starts"), node.integers("ends"), None
        axes = node.integers("axes")
    else:
        starts, ends, axes, steps = (v.tolist() if v is not None else None
                                     for v in [*values[1:], None, None][:4])  # fmt: skip
    result = values[0]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[number] if axes else number
        cut = [slice(None)] * result.ndim
        cut[axis] = slice(start, end, steps[number] if steps else None)
        result = result[tuple(cut)]
    return result


def _cast(node: OnnxNode, values: Values) -> np.ndarray:
    kind = node.integer("to")
    node.ignore("saturate", "round_mode")
    if kind not in KINDS:
        raise ValueError(f"a cast to type {kind}")
    return values[0].astype(KINDS[kind])


def _filled(node: OnnxNode, values: Values) -> np.ndarray:
    shape = values[0].tolist()
    if np.prod(shape, dtype=np.float64) > MOST_SHAPE_VALUES:
        raise ValueError(f"an array {shape}")
    value = node.tensor("value")
    return np.full(shape, 0.0 if value is None else value.reshape(-1)[0],
                   np.float32 if value is None else value.dtype)  # fmt: skip


def _dequantize(node: OnnxNode, values: Values) -> np.ndarray:
    """Return (q - zero point) * scale, of a tensor, along an axis, or in blocks along it."""
    node.ignore("output_dtype", "saturate")
    q, scale = values[:2]
    zero = values[2] if len(values) > 2 and values[2] is not None else np.zeros_like(scale, q.dtype)
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    if q.dtype.kind not in "iu" or scale.dtype.kind != "f":
        raise ValueError(f"weights of types {q.dtype.name} and {scale.dtype.name}")
    if block:
        return dequantize_blocks(q, scale, zero, axis=axis, block_size=block)
    if scale.ndim == 1 and scale.size > 1:
        shape = [1] * q.ndim
        shape[axis] = scale.size
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (q.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)


def _of_two(function: Callable[..., np.ndarray]) -> Callable[[OnnxNode, Values], np.ndarray]:
    return lambda node, values: function(values[0], values[1])


def _of_one(function: Callable[..., np.ndarray]) -> Callable[[OnnxNode, Values], np.ndarray]:
    return lambda node, values: function(values[0])


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a / b if "f" in (a.dtype.kind, b.dtype.kind) else a // b


FOLDED: dict[str, Callable[[OnnxNode, Values], np.ndarray]] = {
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DequantizeLinear": _dequantize,
    "Identity": _of_one(np.asarray),
    "Cast": _cast,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Slice": _slice,
    "Transpose": lambda node, values: np.transpose(values[0], node.integers("perm")),
    "Gather": lambda node, values: np.take(values[0], values[1], node.integer("axis", 0)),
    "Concat": lambda node, values: np.concatenate(values, node.integer("axis", 0)),
    "Sqrt": _of_one(np.sqrt),
    "Neg": _of_one(np.negative),
    "Add": _of_two(np.add),
    "Sub": _of_two(np.subtract),
    "Mul": _of_two(np.multiply),
    "Div": _of_two(_divided),
}


def folded(node: OnnxNode, values: Values, most_bytes: int) -> np.ndarray:
    """Return what a node makes of constants.

    Raises ValueError, with the operator and the node, for one that is not known, does not take
    these, or makes more than most_bytes.
    """
    maker: Any = FOLDED.get(node.operator)
    if maker is None:
        raise node.refusal("an operator that works on stored numbers")
    sizes = [value.size for value in values if value is not None]
    if node.operator in ("Add", "Sub", "Mul", "Div", "Gather") and len(sizes) > 1:
        # What broadcasts or repeats can be much larger than what is stored.
        largest = sizes[0] * sizes[1] if min(sizes[:2]) > 1 else max(sizes)
        if largest * 8 > most_bytes and values[0].shape != values[1].shape:
            raise node.refusal(f"arrays of {sizes[0]} and {sizes[1]} numbers")
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(maker(node, values))
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise node.refusal(f"such stored numbers ({str(error)[:120]})") from None
    if result.nbytes > most_bytes:
        raise node.refusal(f"an array of {result.nbytes} bytes")
    return result

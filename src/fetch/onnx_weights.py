"""Weights of an ONNX file as float32 arrays by name, block-quantised ones included."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engines.onnx_file import parse_onnx
from ..limits import shown

MOST_GROWTH = 8  # bytes of weights for one of the file; int8 becomes float32


def read_weights(data: bytes, source: str = "these weights") -> dict[str, np.ndarray]:
    """Return every weight of an ONNX file, float32, under the name it has in the network.

    A weight stored as int8 NAME_quantized with scales and zero points per block is returned
    as NAME, in its final shape: w = (q - zero point) * scale.  source: for messages.
    Raises ValueError if the bytes are no ONNX file, are damaged, have values in another file, or
    the onnx package is not installed.
    Source: ONNX operators DequantizeLinear (opset 21) and Reshape.
    """
    graph = parse_onnx(data, source).graph
    if not graph.initializer:
        raise ValueError(f"{source}: not an ONNX file with weights in it")
    from onnx import numpy_helper

    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = set(tensors)
    helpers: set[str] = set()  # scales, shapes: needed to make a weight, none themselves
    made_bytes = 0
    for node in graph.node:
        if not set(node.input) <= tensors.keys():
            continue  # works on the image: a layer, not a weight
        inputs = [tensors[name] for name in node.input]
        if node.op_type in MAKERS:
            try:
                array = MAKERS[node.op_type](node, inputs)
            except ValueError as error:
                raise ValueError(
                    f"{source}: {node.op_type} {shown(node.name)}: {error}: damaged, or not such "
                    "weights"
                ) from None
            made_bytes += array.nbytes if node.op_type == "DequantizeLinear" else 0
            if made_bytes > MOST_GROWTH * len(data):
                raise ValueError(f"{source}: makes more than {MOST_GROWTH} bytes of each it has")
            tensors[node.output[0]] = array
        helpers.update(node.input)
    made = {_plain(name): tensors[name] for name in tensors.keys() - stored - helpers}
    kept = {name: tensors[name] for name in stored - helpers}
    return {
        name: np.asarray(array, np.float32)
        for name, array in (kept | made).items()
        if array.dtype.kind == "f"
    }


def dequantize_blocks(
    quantized: np.ndarray,
    scales: np.ndarray,
    zero_points: np.ndarray,
    *,
    axis: int,
    block_size: int,
) -> np.ndarray:
    """Return (q - zero point) * scale, float32; each scale serves block_size values of axis.

    Raises ValueError if the shapes do not fit together.
    """
    if not -quantized.ndim <= axis < quantized.ndim or block_size < 1 or not quantized.size:
        raise ValueError(f"axis {axis}, blocks of {block_size}, of an array {quantized.shape}")
    axis %= quantized.ndim
    blocks = list(quantized.shape)
    blocks[axis] = -(-blocks[axis] // block_size)
    if not scales.shape == zero_points.shape == tuple(blocks):
        raise ValueError(
            f"scales {scales.shape} and zero points {zero_points.shape}; blocks of {block_size} "
            f"of {quantized.shape} want {tuple(blocks)}"
        )
    block_size = min(block_size, quantized.shape[axis])

    def spread(values: np.ndarray) -> np.ndarray:
        repeated = np.repeat(values, block_size, axis)
        return repeated.take(range(quantized.shape[axis]), axis)

    offset = quantized.astype(np.float32) - spread(zero_points).astype(np.float32)
    return offset * spread(scales)


def _dequantized(node: Any, inputs: list[np.ndarray]) -> np.ndarray:
    options = {attribute.name: attribute.i for attribute in node.attribute}
    if len(inputs) != 3 or not {"axis", "block_size"} <= options.keys() or len(node.output) != 1:
        raise ValueError("wanted are weights, scales and zero points, axis and block_size")
    if inputs[1].dtype.kind != "f" or "f" in (inputs[0].dtype.kind, inputs[2].dtype.kind):
        raise ValueError(f"types {', '.join(array.dtype.name for array in inputs)}")
    return dequantize_blocks(*inputs, axis=options["axis"], block_size=options["block_size"])


def _reshaped(node: Any, inputs: list[np.ndarray]) -> np.ndarray:
    if len(inputs) != 2 or inputs[1].dtype != np.int64 or inputs[1].ndim != 1:
        raise ValueError("wanted are weights and a shape")
    if len(node.output) != 1 or inputs[1].size > 32:
        raise ValueError(f"a shape of {inputs[1].size} dimensions")
    return inputs[0].reshape(inputs[1].tolist())


MAKERS = {"DequantizeLinear": _dequantized, "Reshape": _reshaped}


def _plain(name: str) -> str:
    return name.removesuffix("_reshaped").removesuffix("_dequantized")

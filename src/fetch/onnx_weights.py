"""Weights of an ONNX file as float32 arrays by name, block-quantised ones included."""

from __future__ import annotations

import numpy as np


def read_weights(data: bytes) -> dict[str, np.ndarray]:
    """Return every weight of an ONNX file, float32, under the name it has in the network.

    A weight stored as int8 NAME_quantized with scales and zero points per block is returned
    as NAME, in its final shape: w = (q - zero point) * scale.
    Raises ValueError if the bytes are no ONNX file, or the onnx package is not installed.
    Source: ONNX operators DequantizeLinear (opset 21) and Reshape.
    """
    graph = _parse(data)
    from onnx import helper, numpy_helper

    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = set(tensors)
    helpers: set[str] = set()  # scales, shapes: needed to make a weight, none themselves
    for node in graph.node:
        if not set(node.input) <= tensors.keys():
            continue  # works on the image: a layer, not a weight
        inputs = [tensors[name] for name in node.input]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "DequantizeLinear":
            tensors[node.output[0]] = dequantize_blocks(
                *inputs, axis=attributes["axis"], block_size=attributes["block_size"]
            )
        elif node.op_type == "Reshape":
            tensors[node.output[0]] = inputs[0].reshape(inputs[1])
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
    """Return (q - zero point) * scale, float32; each scale serves block_size values of axis."""

    def spread(values: np.ndarray) -> np.ndarray:
        repeated = np.repeat(values, block_size, axis)
        return repeated.take(range(quantized.shape[axis]), axis)

    offset = quantized.astype(np.float32) - spread(zero_points).astype(np.float32)
    return offset * spread(scales)


def _plain(name: str) -> str:
    return name.removesuffix("_reshaped").removesuffix("_dequantized")


def _parse(data: bytes):
    try:
        from google.protobuf.message import DecodeError
        import onnx
    except ImportError:
        raise ValueError(
            "reading these weights needs the onnx package: pip install onnx "
            "(the extra [export] has it)"
        ) from None
    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError as error:
        raise ValueError(f"not an ONNX file ({error})") from None
    if not graph.initializer:
        raise ValueError("not an ONNX file with weights in it")
    return graph

"""What the graph of an ONNX file says of its images: shape, layout, and whether it scales itself.

A network that begins by subtracting and multiplying, or by normalising its pixels, takes raw
ones.  That is certain where its own arithmetic brings 0..255 near zero, and only there: a graph
that begins with a convolution may want anything, and colours are never seen in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .model_input import CHANNELS, Declaration, norm_takes_raw_pixels, takes_raw_pixels

PASSING = {"Identity", "Cast", "Transpose", "Dropout"}
ARITHMETIC = {"Add", "Sub", "Mul", "Div"}
RAW = Declaration(mean=(0.0,), scale=(1.0,))


def layout_of(shape: tuple[Any, ...]) -> str | None:
    """Return "nchw" or "nhwc" of an input's shape, None where it does not tell."""
    places = [axis for axis in (1, 3) if shape[axis] == CHANNELS]
    if len(places) != 1:
        return None
    return "nchw" if places[0] == 1 else "nhwc"


def size_of(shape: tuple[Any, ...], layout: str) -> tuple[int, int] | None:
    """Return (height, width) of an input's shape, None where they are free."""
    size = shape[2:] if layout == "nchw" else shape[1:3]
    return tuple(size) if all(isinstance(one, int) and one > 0 for one in size) else None


def own_scaling(model: Any, input_name: str = "") -> str:
    """Return words for how the graph scales raw pixels itself, "" where that is not certain.

    model: onnx.ModelProto.  input_name: of its images, "" for the first input that is no weight.
    """
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t
    given = (one.name for one in model.graph.input if one.name not in constants)
    ends, steps, place = np.array([[0.0], [255.0]]), [], input_name or next(given, "")
    while True:
        readers = [node for node in model.graph.node if place in node.input]
        if len(readers) != 1 or len(readers[0].output) < 1:
            break
        node = readers[0]
        values = [
            numpy_helper.to_array(constants[name]).astype(np.float64).ravel()
            for name in node.input
            if name in constants
        ]
        if node.op_type in PASSING:
            pass
        elif node.op_type in ARITHMETIC and len(values) == 1:
            changed = _applied(node.op_type, ends, values[0], node.input[0] == place)
            if changed is None:
                break
            ends = changed
            steps.append(node.op_type)
        elif node.op_type == "BatchNormalization" and len(values) == 4 and node.input[0] == place:
            is_first = not steps and norm_takes_raw_pixels(values[2], values[3])
            return "it begins with a BatchNormalization of pixels of 0..255" if is_first else ""
        else:
            break
        place = node.output[0]
    if not steps or not takes_raw_pixels(ends):
        return ""
    ends_shown = f"{ends.min():.3g}..{ends.max():.3g}"
    return f"it begins with {', '.join(steps)}, which bring 0..255 to {ends_shown}"


def _applied(
    operator: str, ends: np.ndarray, value: np.ndarray, is_left: bool
) -> np.ndarray | None:
    """Return what an operator makes of both ends of the range, (2, 1 or 3); None for none."""
    if len(value) not in (1, CHANNELS) or (operator == "Div" and (not is_left or 0 in value)):
        return None
    if operator == "Sub":
        return ends - value if is_left else value - ends
    return {"Add": np.add, "Mul": np.multiply, "Div": np.divide}[operator](ends, value)

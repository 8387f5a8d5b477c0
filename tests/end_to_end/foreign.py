"""ONNX files as others write them, of images of any size, and scores of another system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

DIMENSION = 8
FULLY_DECLARED = ("--input-color", "rgb", "--mean", "127.5", "--scale", "128")


def write_foreign(path: Path, **options: object) -> Path:
    """Write foreign_bytes()."""
    path.write_bytes(foreign_bytes(**options))
    return path


def foreign_bytes(
    *, size: tuple[int, int] | None = None, norm: bool = False, scaled: bool = False
) -> bytes:
    """Return a network: the mean of each colour, eight mixtures of them.

    size: (height, width) of its images, None for any.  norm: a second output.  scaled: it begins
    by scaling its pixels.
    """
    weight = np.random.default_rng(0).normal(size=(DIMENSION, 3, 1, 1)).astype(np.float32)
    before = [
        helper.make_node("Sub", ["image", "half"], ["moved"]),
        helper.make_node("Div", ["moved", "half"], ["pixels"]),
    ]
    nodes = [
        *(before if scaled else []),
        helper.make_node("GlobalAveragePool", ["pixels" if scaled else "image"], ["means"]),
        helper.make_node("Conv", ["means", "weight"], ["mixed"]),
        helper.make_node("Flatten", ["mixed"], ["embedding"]),
    ]
    outputs = {"embedding": DIMENSION}
    if norm:
        nodes.append(helper.make_node("ReduceL2", ["embedding"], ["norm"], axes=[1], keepdims=1))
        outputs["norm"] = 1
    image = helper.make_tensor_value_info(
        "image", TensorProto.FLOAT, ["N", 3, *(size or ("H", "W"))]
    )
    made = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", length])
        for name, length in outputs.items()
    ]
    values = [numpy_helper.from_array(weight, "weight")]
    if scaled:
        values.append(numpy_helper.from_array(np.array(127.5, np.float32), "half"))
    graph = helper.make_graph(nodes, "foreign", [image], made, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    return model.SerializeToString()


def write_scores(path: Path, count: int) -> Path:
    """Write a score a pair, lower for the first half of the pairs and for every second one."""
    path.write_text("".join(f"{(number % 2) + number / count}\n" for number in range(count)))
    return path

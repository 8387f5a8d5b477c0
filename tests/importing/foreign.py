"""A small face network as torch's exporter writes one: norms folded, the batch worked out."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

SIZE, EMB_SIZE = (8, 8), 6
make = helper.make_node


def stored() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {
        "onnx::Conv_1": rng.normal(0, 0.3, (4, 3, 3, 3)), "onnx::Conv_2": rng.normal(0, 0.3, 4),
        "onnx::PRelu_3": rng.uniform(0.1, 0.4, (4, 1, 1)),
        "onnx::MatMul_4": rng.normal(0, 0.3, (4 * 16, EMB_SIZE)),
        "norm.weight": rng.uniform(0.5, 1.5, EMB_SIZE), "norm.bias": rng.normal(0, 0.1, EMB_SIZE),
        "norm.running_mean": rng.normal(0, 0.1, EMB_SIZE),
        "norm.running_var": rng.uniform(0.5, 1.5, EMB_SIZE),
    }  # fmt: skip


def nodes() -> list:
    shape = helper.make_tensor("value", 7, [1], [-1])
    first = helper.make_tensor("value", 7, [], [0])
    norm = [f"norm.{role}" for role in ("weight", "bias", "running_mean", "running_var")]
    return [
        make("Conv", ["input.1", "onnx::Conv_1", "onnx::Conv_2"], ["a"], "/conv/Conv",
             kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], dilations=[1, 1], group=1),
        make("PRelu", ["a", "onnx::PRelu_3"], ["b"], "/act/PRelu"),
        make("Shape", ["b"], ["s"], "/Shape"),
        make("Constant", [], ["first"], "/first", value=first),
        make("Gather", ["s", "first"], ["n"], "/Gather", axis=0),
        make("Unsqueeze", ["n"], ["n1"], "/Unsqueeze", axes=[0]),
        make("Constant", [], ["rest"], "/rest", value=shape),
        make("Concat", ["n1", "rest"], ["target"], "/Concat", axis=0),
        make("Reshape", ["b", "target"], ["c"], "/Reshape"),
        make("MatMul", ["c", "onnx::MatMul_4"], ["d"], "/fc/MatMul"),
        make("BatchNormalization", ["d", *norm], ["out"], "/norm/BatchNormalization",
             epsilon=1e-5, momentum=0.9),
    ]  # fmt: skip


def model(layers=None, arrays=None, *, opset=11, shape=("N", 3, *SIZE), outputs=("out",)):
    """Return an onnx.ModelProto.  layers, arrays: in place of those above."""
    info = helper.make_tensor_value_info
    arrays = stored() if arrays is None else arrays
    graph = helper.make_graph(
        nodes() if layers is None else layers, "g", [info("input.1", 1, list(shape))],
        [info(name, 1, None) for name in outputs],
        [numpy_helper.from_array(
            np.asarray(v, np.float32 if np.asarray(v).dtype.kind == "f" else None), k
        ) for k, v in arrays.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 7
    return made

"""One handler for each MXNet operator: how it is said in ONNX.

A handler gets the graph being written, the MXNet node and the ONNX names of its inputs; it
writes nodes whose last output is named as the MXNet node's.  Defaults are those of MXNet 1.9.
A new operator: one function here.
"""

from __future__ import annotations

import numpy as np

from ..registry import Registry
from .onnx_graph import OnnxGraph
from .symbol_graph import Node

OPERATORS = Registry("operator of the ONNX export")
INT64_MAX = np.iinfo(np.int64).max


def convert_node(graph: OnnxGraph, node: Node) -> None:
    """Write one node.  Raises ValueError if its operator, or a form of it, is not known."""
    OPERATORS[node.operator](graph, node, [graph.resolve(name) for name in node.inputs])


def _refuse(node: Node, what: str) -> ValueError:
    return ValueError(f"{node.operator} {node.name!r}: {what} cannot be exported to ONNX")


def _same(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    graph.alias(node.outputs[0], inputs[0])


# In half precision networks Cast stands around the half part; the export is single throughout.
for _name in ("_copy", "BlockGrad", "Cast", "amp_cast"):
    OPERATORS.register(_name)(_same)


@OPERATORS.register("Dropout")
def dropout(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    if node.get("mode", "training") != "training":
        raise _refuse(node, "dropout that also works outside training")
    _same(graph, node, inputs)


@OPERATORS.register("Convolution")
def convolution(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    kernel = node.attributes["kernel"]
    ones = (1,) * len(kernel)
    graph.add(
        "Conv",
        inputs,
        node.outputs[0],
        kernel_shape=kernel,
        strides=node.get("stride", ()) or ones,
        dilations=node.get("dilate", ()) or ones,
        pads=tuple(node.get("pad", ()) or (0,) * len(kernel)) * 2,
        group=node.get("num_group", 1),
    )


@OPERATORS.register("FullyConnected")
def fully_connected(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    rank = len(graph.shape(node.inputs[0]))
    if rank > 2 and not node.get("flatten", True):
        raise _refuse(node, "a dense layer over the last axis only")
    if rank > 2:
        inputs = [graph.add("Flatten", inputs[:1], f"{node.name}_flat"), *inputs[1:]]
    graph.add("Gemm", inputs, node.outputs[0], transB=1)


@OPERATORS.register("BatchNorm")
def batch_norm(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    """Use the running statistics, as outside training.  fix_gamma takes gamma as 1."""
    if node.get("axis", 1) != 1:
        raise _refuse(node, "batch normalisation over another axis than the channels'")
    gamma, beta, mean, var = (graph.parameters[name] for name in node.inputs[1:5])
    if node.get("fix_gamma", True):
        gamma = np.ones_like(gamma)
    eps = node.get("eps", 1e-3)
    scale = gamma.astype(np.float64) / np.sqrt(var.astype(np.float64) + eps)
    if graph.scale_output(node.inputs[0], scale, beta - mean * scale):
        _same(graph, node, inputs)
        return
    graph.constant(inputs[1], gamma)
    graph.add("BatchNormalization", inputs, node.outputs[0], epsilon=eps)


@OPERATORS.register("LeakyReLU")
def leaky_relu(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    kind, output = node.get("act_type", "leaky"), node.outputs[0]
    if kind == "prelu":
        rank = len(graph.shape(node.inputs[0]))
        slope = graph.constants[inputs[1]].reshape(-1, *[1] * (rank - 2))  # (C,) -> (C, 1, 1)
        graph.add("PRelu", [inputs[0], graph.constant(inputs[1], slope)], output)
    elif kind == "leaky":
        graph.add("LeakyRelu", inputs, output, alpha=node.get("slope", 0.25))
    elif kind == "elu":
        graph.add("Elu", inputs, output, alpha=node.get("slope", 0.25))
    else:
        raise _refuse(node, f"act_type {kind}")


@OPERATORS.register("Activation")
def activation(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    known = {
        "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus",
        "softsign": "Softsign",
    }  # fmt: skip
    if (kind := node.attributes["act_type"]) not in known:
        raise _refuse(node, f"act_type {kind}")
    graph.add(known[kind], inputs, node.outputs[0])


@OPERATORS.register("Pooling")
def pooling(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    kind, output = node.get("pool_type", "max"), node.outputs[0]
    if kind not in ("max", "avg"):
        raise _refuse(node, f"pool_type {kind}")
    if node.get("global_pool", False):
        graph.add("GlobalMaxPool" if kind == "max" else "GlobalAveragePool", inputs, output)
        return
    convention = node.get("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise _refuse(node, f"pooling_convention {convention}")
    kernel = node.attributes["kernel"]
    common = {
        "kernel_shape": kernel,
        "strides": node.get("stride", ()) or (1,) * len(kernel),
        "pads": tuple(node.get("pad", ()) or (0,) * len(kernel)) * 2,
        "ceil_mode": int(convention == "full"),
    }
    if kind == "max":
        graph.add("MaxPool", inputs, output, **common)
    else:
        counted = int(node.get("count_include_pad", True))
        graph.add("AveragePool", inputs, output, count_include_pad=counted, **common)


@OPERATORS.register("L2Normalization")
def l2_normalization(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    rank = len(graph.shape(node.inputs[0]))
    modes = {"instance": range(1, rank), "channel": [1], "spatial": range(2, rank)}
    name, axes = node.name, list(modes[node.get("mode", "instance")])
    eps = graph.constant(f"{name}_eps", np.float32(node.get("eps", 1e-10)))
    total = graph.add("ReduceSumSquare", inputs, f"{name}_square", axes=axes, keepdims=1)
    length = graph.add("Sqrt", [graph.add("Add", [total, eps], f"{name}_sum")], f"{name}_length")
    graph.add("Div", [inputs[0], length], node.outputs[0])


@OPERATORS.register("softmax", "SoftmaxActivation")
def softmax(graph: OnnxGraph, node: Node, inputs: list[str]) -> None:
    if node.get("temperature", 1) != 1 or node.get("use_length", False):
        raise _refuse(node, "softmax with a temperature or lengths")
    axis = 1 if node.operator == "SoftmaxActivation" else node.get("axis", -1)
    graph.add("Softmax", inputs, node.outputs[0], axis=axis)

"""One handler for each MXNet operator: how it is said in ONNX.

A handler gets the graph being written, the MXNet node, the ONNX names of its inputs and its
options; it writes nodes and returns the names of what comes out.  Defaults are those of MXNet
1.9.1.  A new operator: one function here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..checkpoints.nodes import Entry, Node
from ..checkpoints.options import Options
from ..registry import Registry
from .onnx_graph import OnnxGraph

OPERATORS = Registry("operator of the ONNX export")
INT64_MAX = np.iinfo(np.int64).max
CHANNELS_FIRST = (None, "None", "NCW", "NCHW", "NCDHW")

Handler = Callable[[OnnxGraph, Node, list[str], Options], str | list[str]]


@dataclass(frozen=True)
class Operator:
    """A handler and how many inputs it takes; None: one or more."""

    handler: Handler
    num_inputs: tuple[int, ...] | None


def operator(*names: str, inputs: int | tuple[int, ...] | None = 1) -> Callable[[Handler], Handler]:
    """Return a decorator that registers a handler under MXNet's names of the operator."""
    num_inputs = (inputs,) if isinstance(inputs, int) else inputs

    def enter(handler: Handler) -> Handler:
        OPERATORS.register(*names)(Operator(handler, num_inputs))
        return handler

    return enter


def convert_node(graph: OnnxGraph, node: Node, index: int) -> None:
    """Write one node.  Raises ValueError if its operator, or a form of it, is not known."""
    try:
        known, options = OPERATORS[node.operator], Options(node, "exported to ONNX")
    except ValueError as error:
        raise ValueError(f"node {node.name!r}: {error}") from None
    inputs = []
    for entry in node.inputs:
        tensor = graph.tensor(entry)
        if tensor is None:
            source = graph.network.graph.nodes[entry.node]
            raise options.refusal(f"output {entry.output} of {source.name!r}, which it reads,")
        if not graph.rank(tensor):
            raise options.refusal("a parameter without dimensions")
        inputs.append(tensor)
    counts = known.num_inputs
    if (counts is None and not inputs) or (counts is not None and len(inputs) not in counts):
        raise options.refusal(f"the operator with {len(inputs)} inputs")
    outputs = known.handler(graph, node, inputs, options)
    options.check_all_read()
    for number, tensor in enumerate([outputs] if isinstance(outputs, str) else outputs):
        graph.bind(Entry(index, number), tensor)


def add_padding(
    graph: OnnxGraph,
    data: str,
    output: str,
    pads: Sequence[int],
    mode: str = "constant",
    filling: float = 0,
) -> str:
    """Append a Pad and return its output.  pads: before each axis, then behind each."""
    inputs = [data, graph.constant(f"{output}_pads", np.array(pads, np.int64))]
    if mode == "constant":
        inputs.append(graph.constant(f"{output}_value", np.array(filling, np.float32)))
    return graph.add("Pad", inputs, output, mode=mode)


def output_of(node: Node) -> str:
    """Return the wanted name of the tensor that a node gives."""
    return node.output_name(0)


def _parameter(graph: OnnxGraph, options: Options, tensor: str) -> np.ndarray:
    value = graph.value(tensor)
    if value is None:
        raise options.refusal(f"{tensor}, which is computed and no parameter,")
    return value


def _channels(graph: OnnxGraph, data: str, options: Options) -> int:
    """Return the length of the channels' axis."""
    channels = graph.shape(data)[1] if graph.rank(data) > 1 else None
    if channels is None:
        raise options.refusal("an input without a fixed number of channels")
    return channels


def window(
    graph: OnnxGraph, data: str, options: Options
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return kernel, stride and padding, one number per axis of the image."""
    kernel = options.integers("kernel")
    strides = options.integers("stride", ()) or (1,) * len(kernel)
    pads = options.integers("pad", ()) or (0,) * len(kernel)
    sizes = {len(kernel), len(strides), len(pads), graph.rank(data) - 2}
    if len(sizes) > 1 or min(*kernel, *strides) < 1 or min(pads) < 0:
        raise options.refusal(f"kernel {kernel}, stride {strides}, padding {pads}")
    return kernel, strides, pads


@operator("_copy", "BlockGrad")
def same(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    return inputs[0]


@operator("Dropout")
def dropout(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    if options.word("mode", "training") != "training":
        raise options.refusal("dropout that also works outside training")
    options.ignore("p", "axes")
    return inputs[0]


@operator("Convolution", inputs=(2, 3))
def convolution(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    kernel, strides, pads = window(graph, inputs[0], options)
    dilations = options.integers("dilate", ()) or (1,) * len(kernel)
    filters, groups = options.integer("num_filter"), options.integer("num_group", 1)
    if options.word("layout", None) not in CHANNELS_FIRST:
        raise options.refusal("a layout that has the channels last")
    if options.flag("no_bias", False) != (len(inputs) == 2):
        raise options.refusal("a bias where the option no_bias says the opposite")
    data, weight, *bias = inputs
    if len(dilations) != len(kernel) or min(*dilations, filters) < 1:
        raise options.refusal(f"dilation {dilations} with {filters} filters")
    channels = _channels(graph, data, options)
    if channels % groups or filters % groups:
        raise options.refusal(f"{channels} channels in {groups} groups to {filters} filters")
    graph.expect(weight, (filters, channels // groups, *kernel))
    for name in bias:
        graph.expect(name, (filters,))
    return graph.add(
        "Conv",
        inputs,
        output_of(node),
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=pads * 2,
        group=groups,
    )


@operator("FullyConnected", inputs=(2, 3))
def fully_connected(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    data, weight, *bias = inputs
    hidden, is_flat = options.integer("num_hidden"), options.flag("flatten", True)
    if options.flag("no_bias", False) != (not bias):
        raise options.refusal("a bias where the option no_bias says the opposite")
    if graph.rank(data) < 2:
        raise options.refusal("a dense layer on one axis")
    is_over_last = graph.rank(data) != 2 and not is_flat
    if graph.rank(data) != 2 and is_flat:
        data = graph.add("Flatten", [data], f"{node.name}_flat")
    width = graph.shape(data)[-1]
    if width is None:
        raise options.refusal("a dense layer without a fixed image size")
    graph.expect(weight, (hidden, width))
    for name in bias:
        graph.expect(name, (hidden,))
    if not is_over_last:
        return graph.add("Gemm", [data, weight, *bias], output_of(node), transB=1)
    turned = graph.add("Transpose", [weight], f"{node.name}_turned", perm=(1, 0))
    product = graph.add(
        "MatMul", [data, turned], f"{node.name}_product" if bias else output_of(node)
    )
    return graph.add("Add", [product, *bias], output_of(node)) if bias else product


@operator("BatchNorm", inputs=5)
def batch_norm(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    """Use the running statistics, as outside training.  fix_gamma takes gamma as 1."""
    rank, channels = graph.rank(inputs[0]), _channels(graph, inputs[0], options)
    if options.axis("axis", rank, 1) != 1:
        raise options.refusal("batch normalisation over another axis than the channels'")
    if options.flag("output_mean_var", False):
        raise options.refusal("batch normalisation that also gives mean and variance")
    options.ignore("momentum", "use_global_stats", "min_calib_range", "max_calib_range")
    eps, is_fixed = float(options.number("eps", 1e-3)), options.flag("fix_gamma", True)
    for name in inputs[1:]:
        graph.expect(name, (channels,))
    if graph.faults:
        return graph.add("BatchNormalization", inputs, output_of(node), epsilon=eps)
    gamma, beta, mean, var = (_parameter(graph, options, name) for name in inputs[1:])
    if is_fixed:
        gamma = np.ones_like(gamma)
    scale = gamma.astype(np.float64) / np.sqrt(var.astype(np.float64) + eps)
    folded = graph.scale_output(node.inputs[0], scale, beta - mean * scale)
    if folded is not None:
        return folded
    data, weight, *others = inputs
    if is_fixed:
        weight = graph.changed(weight, gamma)
    return graph.add("BatchNormalization", [data, weight, *others], output_of(node), epsilon=eps)


@operator("LeakyReLU", inputs=(1, 2))
def leaky_relu(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    kind, output = options.word("act_type", "leaky"), output_of(node)
    slope = float(options.number("slope", 0.25))
    options.ignore("lower_bound", "upper_bound")  # of act_type rrelu
    if len(inputs) != (2 if kind == "prelu" else 1):
        raise options.refusal(f"act_type {kind} with {len(inputs)} inputs")
    if kind == "prelu":
        rank, channels = graph.rank(inputs[0]), _channels(graph, inputs[0], options)
        if graph.shape(inputs[1]) != (1,):  # one slope for all channels
            graph.expect(inputs[1], (channels,))
        value = _parameter(graph, options, inputs[1])
        slopes = value.reshape(-1, *[1] * (rank - 2))  # (C,) -> (C, 1, 1)
        return graph.add("PRelu", [inputs[0], graph.changed(inputs[1], slopes)], output)
    if kind == "leaky":
        return graph.add("LeakyRelu", inputs, output, alpha=slope)
    if kind == "elu":
        return graph.add("Elu", inputs, output, alpha=slope)
    raise options.refusal(f"act_type {kind}")


@operator("Activation")
def activation(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    known = {
        "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus",
        "softsign": "Softsign",
    }  # fmt: skip
    if (kind := options.word("act_type")) not in known:
        raise options.refusal(f"act_type {kind}")
    return graph.add(known[kind], inputs, output_of(node))


@operator("L2Normalization")
def l2_normalization(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    rank, name = graph.rank(inputs[0]), node.name
    modes = {"instance": range(1, rank), "channel": [1], "spatial": range(2, rank)}
    mode = options.word("mode", "instance")
    if mode not in modes or (mode != "instance" and rank < 3):
        raise options.refusal(f"mode {mode} of {rank} axes")
    eps = graph.constant(f"{name}_eps", np.array(options.number("eps", 1e-10), np.float32))
    total = graph.add_over("ReduceSumSquare", inputs[0], f"{name}_square", modes[mode], keepdims=1)
    length = graph.add("Sqrt", [graph.add("Add", [total, eps], f"{name}_sum")], f"{name}_length")
    return graph.add("Div", [inputs[0], length], output_of(node))


@operator("softmax")
def softmax(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    if options.number("temperature", 1) != 1 or options.flag("use_length", False):
        raise options.refusal("softmax with a temperature or lengths")
    if (kind := options.word("dtype", "float32")) != "float32":
        raise options.refusal(f"softmax in {kind}")
    return _add_softmax(graph, node, inputs[0], options.axis("axis", graph.rank(inputs[0]), -1))


@operator("SoftmaxActivation")
def softmax_activation(graph: OnnxGraph, node: Node, inputs: list[str], options: Options) -> str:
    """mode "channel" is a softmax over the channels.

    mode "instance" means all axes but the batch's.  Of more than two axes MXNet 1.9.1 takes the
    last alone on a CPU and refuses on a GPU.
    """
    mode, rank = options.word("mode", "instance"), graph.rank(inputs[0])
    if (mode, rank) != ("instance", 2) and (mode != "channel" or rank < 3):
        raise options.refusal(f"mode {mode} of {rank} axes")
    return _add_softmax(graph, node, inputs[0], 1)


def _add_softmax(graph: OnnxGraph, node: Node, data: str, axis: int) -> str:
    rank = graph.rank(data)
    if graph.opset >= 13 or axis == rank - 1:
        return graph.add("Softmax", [data], output_of(node), axis=axis)
    # Before opset 13 a Softmax runs over its axis and all behind it.
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    turned = graph.add("Transpose", [data], f"{node.name}_turned", perm=order)
    shares = graph.add("Softmax", [turned], f"{node.name}_shares", axis=rank - 1)
    return graph.add("Transpose", [shares], output_of(node), perm=order)

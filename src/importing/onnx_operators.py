"""One handler for each ONNX operator: the layers of a network, and how MXNet says them.

A handler gets the importer and the node, and returns the tensor that comes out.  What an operator
can do and MXNet's cannot is refused by operator and node.  Source: ONNX opsets 7 to 21 and the
operators of MXNet 1.9.1.  A new operator: one function here or in onnx_shape_operators.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..registry import Registry
from .onnx_node import OnnxNode
from .symbol_writer import Tensor

if TYPE_CHECKING:
    from .importer import Importer

HANDLERS = Registry("operator of the ONNX import")
SLOPES = '["constant", {"value": 0.25}]'  # how MXNet begins them
WORKSPACE = 256  # MiB a convolution may use, as in the networks here

Handler = Callable[["Importer", OnnxNode], Tensor]


def handler(*names: str) -> Callable[[Handler], Handler]:
    """Return a decorator that registers a handler under the ONNX names of its operator."""
    return HANDLERS.register(*names)


@handler("Identity")
def identity(importer: Importer, node: OnnxNode) -> Tensor:
    return node.data()


@handler("Dropout")
def dropout(importer: Importer, node: OnnxNode) -> Tensor:
    """Outside training it passes its input on, which is all that a file can say of it."""
    node.ignore("ratio", "seed", "is_test")
    return node.data()


@handler("Cast")
def cast(importer: Importer, node: OnnxNode) -> Tensor:
    """Floats stay float32, whatever the file computes in."""
    node.ignore("saturate", "round_mode")
    if (kind := node.integer("to")) not in (1, 10, 11, 16):
        raise node.refusal(f"a cast to type {kind}, which is no float,")
    return node.data()


def window(node: OnnxNode, data: Tensor, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return kernel, stride, dilation and the padding before and after each axis of the image."""
    if data.rank != 4 or len(kernel) != 2:
        raise node.refusal(f"a kernel {kernel} on {data.rank} axes; images have 4")
    strides = node.integers("strides", (1, 1))
    dilations = node.integers("dilations", (1, 1))
    pads = node.integers("pads", (0, 0, 0, 0))
    automatic = node.word("auto_pad", "NOTSET")
    if len(strides) != 2 or len(dilations) != 2 or len(pads) != 4 or min(pads) < 0:
        raise node.refusal(f"strides {strides}, dilations {dilations}, pads {pads}")
    if min(*kernel, *strides, *dilations) < 1:
        raise node.refusal(f"kernel {kernel}, strides {strides}, dilations {dilations}")
    begin, end = pads[:2], pads[2:]
    if automatic.startswith("SAME_"):
        total = [
            max((-(-size // step) - 1) * step + (k - 1) * d + 1 - size, 0)
            for size, step, k, d in zip(data.shape[2:], strides, kernel, dilations, strict=True)
        ]
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        begin, end = (less, more) if automatic == "SAME_UPPER" else (more, less)
    elif automatic not in ("NOTSET", "VALID", ""):
        raise node.refusal(f"auto_pad {automatic}")
    return {"kernel": kernel, "stride": strides, "dilate": dilations, "begin": begin, "end": end}


@handler("Conv")
def conv(importer: Importer, node: OnnxNode) -> Tensor:
    """Write a convolution; its bias may be what a folded norm left: see restores_norm()."""
    data, weight = node.data(), node.weight(1, "a kernel")
    bias = node.weight(2, "a bias") if len(node.inputs) > 2 and node.inputs[2] else None
    kernel = tuple(weight.shape[2:])
    if node.integers("kernel_shape", kernel) != kernel:
        raise node.refusal(f"kernel_shape that is not that of its weights, {kernel},")
    shape, groups = window(node, data, kernel), node.integer("group", 1)
    channels, filters = data.shape[1], len(weight)
    if channels is None or groups < 1 or weight.shape[1] * groups != channels or filters % groups:
        raise node.refusal(f"a kernel {weight.shape} in {groups} groups on {channels} channels")
    if bias is not None and bias.shape != (filters,):
        raise node.refusal(f"a bias {bias.shape} of {filters} filters")
    entry, pad = data.entry, shape["begin"]
    if shape["begin"] != shape["end"]:
        (top, left), (bottom, right) = shape["begin"], shape["end"]
        entry = importer.writer.add(
            "Pad", f"{node.layer}_pad", [entry], mode="constant", constant_value=0,
            pad_width=(0, 0, 0, 0, top, bottom, left, right),
        )  # fmt: skip
        pad = (0, 0)
    inputs = [entry, importer.writer.parameter(node.layer, "weight", weight, node.source(1))]
    is_norm = bias is not None and importer.restores_norm(node, data)
    if bias is not None and not is_norm:
        inputs.append(importer.writer.parameter(node.layer, "bias", bias, node.source(2)))
    made = importer.writer.add(
        "Convolution", node.layer, inputs, kernel=kernel, stride=shape["stride"], pad=pad,
        dilate=shape["dilate"], num_filter=filters, num_group=groups,
        no_bias=len(inputs) == 2, workspace=WORKSPACE,
    )  # fmt: skip
    if is_norm:
        made = importer.restored_norm(node.layer, made, bias)
    return importer.computed(node, made)


@handler("BatchNormalization")
def batch_normalization(importer: Importer, node: OnnxNode) -> Tensor:
    data, channels = node.data(), node.data().shape[1] if node.data().rank > 1 else None
    eps, momentum = node.number("epsilon", 1e-5), node.number("momentum", 0.9)
    if node.flag("training_mode") or not node.flag("spatial", True):
        raise node.refusal("a norm that is training, or one for every place,")
    names = ("gamma", "beta", "moving_mean", "moving_var")
    values = [node.weight(k, name) for k, name in enumerate(names, start=1)]
    if any(value.shape != (channels,) for value in values):
        raise node.refusal(f"arrays {values[0].shape} for {channels} channels")
    inputs = [
        importer.writer.parameter(node.layer, name, value, node.source(k))
        for k, (name, value) in enumerate(zip(names, values, strict=True), start=1)
    ]
    if eps < 0 or not 0 <= momentum <= 1:
        raise node.refusal(f"epsilon {eps}, momentum {momentum}")
    made = importer.writer.add(
        "BatchNorm", node.layer, [data.entry, *inputs], eps=short(eps), momentum=short(momentum),
        fix_gamma=False,
    )  # fmt: skip
    return importer.computed(node, made)


def short(value: float) -> float:
    """Return the shortest number that is this one in float32: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


@handler("PRelu")
def prelu(importer: Importer, node: OnnxNode) -> Tensor:
    data, slope = node.data(), node.weight(1, "a slope")
    channels = data.shape[1] if data.rank > 1 else None
    by_channel = (channels, *[1] * (data.rank - 2))
    shape = slope.shape[slope.ndim - len(by_channel) :] if slope.ndim > len(by_channel) else None
    if slope.size != 1 and (slope.size != channels or (shape or slope.shape) != by_channel):
        raise node.refusal(f"slopes {slope.shape} for {channels} channels")
    slopes = importer.writer.parameter(
        node.layer, "gamma", slope.reshape(-1), node.source(1), start=SLOPES,
        shape=(1,) if slope.size == 1 != channels else (),  # else it is taken for one by channel
    )  # fmt: skip
    made = importer.writer.add("LeakyReLU", node.layer, [data.entry, slopes], act_type="prelu")
    return importer.computed(node, made)


@handler("LeakyRelu", "Elu")
def leaky_relu(importer: Importer, node: OnnxNode) -> Tensor:
    kind, default = ("elu", 1.0) if node.operator == "Elu" else ("leaky", 0.01)
    slope = short(node.number("alpha", default))
    made = importer.writer.add(
        "LeakyReLU", node.layer, [node.data().entry], act_type=kind, slope=slope
    )
    return importer.computed(node, made)


ACTIVATIONS = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softrelu",
    "Softsign": "softsign",
}  # fmt: skip


@handler(*ACTIVATIONS)
def activation(importer: Importer, node: OnnxNode) -> Tensor:
    kind = ACTIVATIONS[node.operator]
    made = importer.writer.add("Activation", node.layer, [node.data().entry], act_type=kind)
    return importer.computed(node, made)


@handler("HardSigmoid", "HardSwish")
def hard_sigmoid(importer: Importer, node: OnnxNode) -> Tensor:
    """max(0, min(1, alpha x + beta)), for HardSwish times x with 1/6 and 1/2."""
    is_swish, data = node.operator == "HardSwish", node.data()
    alpha, beta = (
        (1 / 6, 0.5) if is_swish else (node.number("alpha", 0.2), node.number("beta", 0.5))
    )
    add, layer = importer.writer.add, node.layer
    made = add("_mul_scalar", f"{layer}_alpha", [data.entry], scalar=short(alpha))
    made = add("_plus_scalar", f"{layer}_beta", [made], scalar=short(beta))
    made = add("clip", layer, [made], a_min=0.0, a_max=1.0)
    if is_swish:
        made = add("elemwise_mul", f"{layer}_product", [data.entry, made])
    return importer.computed(node, made)


@handler("Clip")
def clip(importer: Importer, node: OnnxNode) -> Tensor:
    limits = []
    for position, name in enumerate(("min", "max"), start=1):
        value, given = node.stored(position, name), node.number(name)
        if value is not None:
            if value.size != 1:
                raise node.refusal(f"a limit {value.shape}")
            given = float(value.reshape(-1)[0])
        limits.append(given)
    least, most = (short(v) if v is not None else None for v in limits)
    infinite = 3.4e38
    made = importer.writer.add(
        "clip", node.layer, [node.data().entry], a_min=-infinite if least is None else least,
        a_max=infinite if most is None else most,
    )  # fmt: skip
    return importer.computed(node, made)


@handler("MaxPool", "AveragePool")
def pool(importer: Importer, node: OnnxNode) -> Tensor:
    data, is_max = node.data(), node.operator == "MaxPool"
    shape = window(node, data, node.integers("kernel_shape", ()))
    is_full = node.flag("ceil_mode")
    counted = node.flag("count_include_pad") if not is_max else False
    node.ignore("storage_order")
    if shape["begin"] != shape["end"] or shape["dilate"] != (1, 1):
        raise node.refusal("padding of one side, or dilation,")
    pads, kernel, strides = shape["begin"], shape["kernel"], shape["stride"]
    if any(pad >= size for pad, size in zip(pads, kernel, strict=True)):
        raise node.refusal(f"padding {pads} of kernel {kernel}")
    is_apart = any(step > size for step, size in zip(strides, kernel, strict=True))
    if is_full and (any(pads) or is_apart):  # there engines differ
        raise node.refusal("ceil_mode with padding, or a stride over its kernel,")
    made = importer.writer.add(
        "Pooling", node.layer, [data.entry], kernel=kernel, stride=strides, pad=pads,
        pool_type="max" if is_max else "avg", count_include_pad=counted,
        pooling_convention="full" if is_full else "valid",
    )  # fmt: skip
    return importer.computed(node, made)


@handler("GlobalAveragePool", "GlobalMaxPool")
def global_pool(importer: Importer, node: OnnxNode) -> Tensor:
    if node.data().rank != 4:
        raise node.refusal(f"an input of {node.data().rank} axes")
    kind = "max" if node.operator == "GlobalMaxPool" else "avg"
    made = importer.writer.add(
        "Pooling", node.layer, [node.data().entry], kernel=(1, 1), global_pool=True, pool_type=kind
    )
    return importer.computed(node, made)


@handler("Gemm", "MatMul")
def dense(importer: Importer, node: OnnxNode) -> Tensor:
    """A dense layer: rows of the image's vector times stored weights."""
    data, matrix = node.data(), node.weight(1, "a matrix")
    scale, is_transposed, bias = 1.0, False, None
    if node.operator == "Gemm":
        scale, factor = node.number("alpha", 1.0), node.number("beta", 1.0)
        is_transposed = node.flag("transB")
        bias = node.weight(2, "a bias") if len(node.inputs) > 2 and node.inputs[2] else None
        if node.flag("transA") or (bias is not None and factor not in (0.0, 1.0)):
            raise node.refusal("transA, or beta other than 0 and 1,")
        bias = None if factor == 0 else bias
    if data.rank != 2 or not data.has_images_first or matrix.ndim != 2:
        raise node.refusal(f"a product of {data.shape} and {matrix.shape}")
    weight = matrix if is_transposed else matrix.T  # (out, in)
    if weight.shape[1] != data.shape[1]:
        raise node.refusal(f"weights {matrix.shape} for vectors of {data.shape[1]}")
    if scale != 1:
        weight = weight * np.float32(scale)
    inputs = [data.entry, importer.writer.parameter(node.layer, "weight", weight, node.source(1))]
    if bias is not None:
        if bias.size not in (1, len(weight)):
            raise node.refusal(f"a bias {bias.shape} of {len(weight)}")
        full = np.broadcast_to(bias.reshape(-1), (len(weight),))
        inputs.append(importer.writer.parameter(node.layer, "bias", full, node.source(2)))
    made = importer.writer.add(
        "FullyConnected", node.layer, inputs, num_hidden=len(weight), no_bias=len(inputs) == 2
    )
    return importer.computed(node, made)


@handler("Softmax")
def softmax(importer: Importer, node: OnnxNode) -> Tensor:
    data = node.data()
    default = -1 if importer.opset >= 13 else 1
    axis = node.axis("axis", data.rank, default)
    if importer.opset < 13 and axis != data.rank - 1:
        raise node.refusal("a softmax over several axes, as before opset 13,")
    return importer.computed(
        node, importer.writer.add("softmax", node.layer, [data.entry], axis=axis)
    )


@handler("LpNormalization")
def lp_normalization(importer: Importer, node: OnnxNode) -> Tensor:
    data = node.data()
    axis = node.axis("axis", data.rank, -1)
    if node.integer("p", 2) != 2 or data.rank != 2 or axis != 1:
        raise node.refusal("another norm than the length of a vector")
    made = importer.writer.add("L2Normalization", node.layer, [data.entry], mode="instance")
    return importer.computed(node, made)

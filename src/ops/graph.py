"""fast_graph: the graph to bind on a CPU in place of the published one.

PReLU is replaced, in this order of preference, by

own          our operator (prelu.cc)
convolution  relu(x) + slope * (x - relu(x)), the product as a depthwise 1x1 convolution, which
             oneDNN computes and differentiates much faster than MXNet its PReLU
stock        MXNet's LeakyReLU(act_type="prelu"), unchanged

In a graph that is bound for training alone a BatchNorm and the PReLU after it are one operator of
ours.  In a network of depthwise and 1x1 convolutions, bound for training alone or for inference
alone, these and every BatchNorm are ours: see plain.py.  In a network of 3x3 convolutions, bound
for inference alone, convolutions and what surrounds them are ours: see channels_last.py.

Where training could run, BatchNorms that oneDNN would compute by its reference implementation
get a copy after them: see layouts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
import re

import mxnet as mx

from .channels_last import channels_last_graph
from .layouts import separate_layouts
from .library import load_operators
from .plain import PlainRule
from .rewrite import Entry, Node, Rewriter, attrs_of, is_prelu, own_gradient, user_attrs

KINDS = ("auto", "own", "convolution", "stock")

# Operators whose output has the channels of their first input.
KEEPS_CHANNELS = frozenset(
    {"Activation", "BatchNorm", "BlockGrad", "Dropout", "LeakyReLU", "Pooling", "_copy"}
    | {"elemwise_add", "_Plus", "elemwise_sub", "_Minus", "elemwise_mul", "_Mul"}
    | {"broadcast_add", "broadcast_mul", "_plus_scalar", "_minus_scalar", "_mul_scalar"}
)


def fast_graph(
    symbol: mx.sym.Symbol,
    ctx: mx.Context | Sequence[mx.Context],
    *,
    kind: str = "auto",
    training: bool | None = None,
    accumulates: bool = True,
) -> mx.sym.Symbol:
    """Return the symbol to bind on `ctx`: itself on a GPU, with faster operators on a CPU.

    Arguments, auxiliary states, their attributes and the outputs keep name, order and shape.
    kind "auto" takes our own operators where they can be compiled and the convolution form of
    PReLU elsewhere; the others force one way.  training: True for an executor that only ever
    runs forward(is_train=True), False for one that never does; None, where both happen, leaves
    BatchNorm as it is, since the operators of an extension are not told.  accumulates: False
    where no executor is bound with grad_req "add", which they are not told either and which costs
    a copy of each parameter.  A graph with float16 in it stays as it is.

    Raises ValueError for another kind; RuntimeError if kind is "own" and it cannot be had.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: allowed are {', '.join(KINDS)}")
    contexts = [ctx] if isinstance(ctx, mx.Context) else list(ctx)
    rewriter = Rewriter(symbol, accumulates)
    if (
        kind == "stock"
        or any(context.device_type != "cpu" for context in contexts)
        or any(is_half(node) for node in rewriter.old)
    ):
        return symbol
    has_prelu = any(is_prelu(node) for node in rewriter.old)
    # In a forward pass alone, oneDNN is as fast where there is no PReLU.
    plain = (training or (has_prelu and training is False)) and PlainRule.suits(rewriter)
    wanted = has_prelu or plain
    own = wanted and kind != "convolution" and load_operators()
    if wanted and kind == "own" and not own:
        raise RuntimeError("our own operators cannot be had here; the log says why")
    if own and plain:
        return rewriter.run(PlainRule(rewriter, training))
    if training is not False:
        symbol = separate_layouts(symbol)
    if not has_prelu:
        return symbol
    if own and training is False:
        symbol = channels_last_graph(symbol)
    rewriter = Rewriter(symbol, accumulates)
    if own and training:
        return rewriter.run(PlainRule(rewriter, training, whole=False))
    return rewriter.run(own_prelu if own else convolution_prelu)


def is_half(node: Node) -> bool:
    """Tell whether a node brings float16 into the graph (type code 2 in a variable)."""
    attrs = attrs_of(node)
    return attrs.get("dtype") == "float16" or attrs.get("__dtype__") == "2"


def own_prelu(rewriter: Rewriter, node: Node, inputs: list[Entry]) -> Entry | None:
    """Rule: PReLU by our operator."""
    if not is_prelu(node):
        return None
    entries = own_gradient(rewriter, node, inputs)
    rewriter.set_ranks([inputs[1]], 1)
    return rewriter.add("arcface_prelu", node["name"], entries, user_attrs(node))


def convolution_prelu(rewriter: Rewriter, node: Node, inputs: list[Entry]) -> Entry | None:
    """Rule: PReLU by a depthwise convolution, where the data is known to be (N, C, H, W)."""
    if not is_prelu(node):
        return None
    data, slope = inputs
    channels = channels_of(rewriter.new, data)
    if channels is None or not _takes_slope(rewriter.new[slope[0]], channels):
        return None
    name, attrs = node["name"], user_attrs(node)
    positive = rewriter.add("Activation", f"{name}_positive", [data], {"act_type": "relu"})
    negative = rewriter.add("elemwise_sub", f"{name}_negative", [data, positive], {})
    kernel = rewriter.add("Reshape", f"{name}_kernel", [slope], {"shape": "(-1, 1, 1, 1)"})
    scaled = rewriter.add(
        "Convolution",
        f"{name}_scaled",
        [negative, kernel],
        {
            "kernel": "(1, 1)",
            "num_filter": str(channels),
            "num_group": str(channels),
            "no_bias": "True",
        },
    )
    return rewriter.add("elemwise_add", name, [positive, scaled], attrs)


def _takes_slope(slope: Node, channels: int) -> bool:
    """Give the slope variable its shape, which a reshape cannot find; False if it has another."""
    if slope["op"] != "null":
        return False
    attrs = dict(attrs_of(slope))
    known = [int(size) for size in re.findall(r"\d+", attrs.get("__shape__", ""))]
    if known not in ([], [0], [channels]):
        return False
    slope["attrs"] = dict(attrs, __shape__=f"({channels},)")
    return True


def channels_of(nodes: list[Node], entry: Entry) -> int | None:
    """Return the channels of a 4-D output as the graph tells them, or None."""
    node = nodes[entry[0]]
    attrs = attrs_of(node)
    if node["op"] in ("Convolution", "Deconvolution"):
        is_2d = attrs["kernel"].count(",") == 1 and attrs.get("layout", "NCHW") != "NHWC"
        return int(attrs["num_filter"]) if is_2d else None
    if node["op"] == "Concat" and attrs.get("dim", "1") == "1":
        parts = [channels_of(nodes, part) for part in node["inputs"]]
        return None if None in parts else sum(parts)
    if node["op"] in KEEPS_CHANNELS:
        return next(
            (c for c in (channels_of(nodes, part) for part in node["inputs"][:2]) if c), None
        )
    return None

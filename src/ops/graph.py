"""fast_graph: the graph to bind on a CPU in place of the published one.

PReLU is replaced, in this order of preference, by

own          our operator (prelu.cc)
convolution  relu(x) + slope * (x - relu(x)), the product as a depthwise 1x1 convolution, which
             oneDNN computes and differentiates much faster than MXNet its PReLU
stock        MXNet's LeakyReLU(act_type="prelu"), unchanged

In a graph that is bound for training alone a BatchNorm and the PReLU after it are one operator of
ours.  In a network of depthwise and 1x1 convolutions, bound for training alone or for inference
alone, these and every BatchNorm are ours: see plain.py.

Where training could run, BatchNorms that oneDNN would compute by its reference implementation
get a copy after them: see layouts.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import mxnet as mx

from . import plain
from .layouts import separate_layouts
from .library import load_operators
from .own import is_own_prelu, own_prelu
from .rewrite import (
    Claim,
    Entry,
    Graph,
    Node,
    Rewriter,
    Shapes,
    attrs_of,
    is_prelu,
    rewrite,
    user_attrs,
)

KINDS = ("auto", "own", "convolution", "stock")


def fast_graph(
    symbol: mx.sym.Symbol,
    ctx: mx.Context | Sequence[mx.Context],
    shapes: Shapes,
    *,
    kind: str = "auto",
    training: bool | None = None,
    accumulates: bool = True,
) -> mx.sym.Symbol:
    """Return the symbol to bind on `ctx`: itself on a GPU, with faster operators on a CPU.

    Arguments, auxiliary states, their attributes and the outputs keep name, order and shape.
    shapes: of the inputs, such as {"data": (8, 3, 112, 112)}; what is bound may have another batch
    size, and another image size if the parameters allow it.  kind "auto" takes our own
    operators where they can be compiled and the convolution form of PReLU elsewhere; the others
    force one way.  training: True for an executor that only ever runs forward(is_train=True),
    False for one that never does; None, where both happen, leaves BatchNorm as it is, since the
    operators of an extension are not told.  accumulates: False where no executor is bound with
    grad_req "add", which they are not told either and which costs a copy of each parameter.  A
    graph with float16 in it stays as it is.  With training True a forward pass alone already
    updates the moving statistics, which MXNet leaves to the backward pass, and to those
    BatchNorms that have something to learn at or below them.

    Raises ValueError for another kind, or if the graph does not take these shapes; RuntimeError
    if kind is "own" and it cannot be had, or if a rule of ours is wrong for this graph.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: allowed are {', '.join(KINDS)}")
    contexts = [ctx] if isinstance(ctx, mx.Context) else list(ctx)
    if kind == "stock" or any(context.device_type != "cpu" for context in contexts):
        return symbol
    graph = Graph(symbol, shapes, accumulates)
    if any(map(_is_half, graph.nodes)):
        return symbol
    has_prelu = any(map(is_prelu, graph.nodes))
    # In a forward pass alone, oneDNN is as fast where there is no PReLU.
    is_plain = (training or (has_prelu and training is False)) and plain.suits(graph)
    wanted = has_prelu or is_plain
    own = wanted and kind != "convolution" and load_operators()
    if wanted and kind == "own" and not own:
        raise RuntimeError("our own operators cannot be had here; the log says why")
    if own and is_plain:
        return rewrite(
            graph,
            convolutions=plain.convolutions(graph),
            dropouts=plain.dropouts(graph) if training else (),
            norms=plain.norms_and_prelus(graph, training=training),
        ).symbol
    if training is not False:
        graph = separate_layouts(graph)
    if own and training:
        norms = plain.norms_and_prelus(graph, training=True, whole=False)
        return rewrite(graph, norms=norms).symbol
    return rewrite(graph, prelus=own_prelus(graph) if own else convolution_prelus(graph)).symbol


def _is_half(node: Node) -> bool:
    """Tell whether a node brings float16 into the graph (type code 2 in a variable)."""
    attrs = attrs_of(node)
    return attrs.get("dtype") == "float16" or attrs.get("__dtype__") == "2"


def own_prelus(graph: Graph) -> Iterator[Claim]:
    """Rule: PReLU by our operator."""
    for number in range(len(graph.nodes)):
        if is_own_prelu(graph, number):
            yield own_prelu(graph, number)


def convolution_prelus(graph: Graph) -> Iterator[Claim]:
    """Rule: PReLU with a slope for each channel of (N, C, H, W) by a depthwise convolution."""
    for number, node in enumerate(graph.nodes):
        if not is_prelu(node) or not graph.are_variables(node["inputs"][1:]):
            continue
        data, slope = map(graph.shape, node["inputs"])
        if len(data) == 4 and slope == data[1:2]:
            yield _convolution_prelu(number, node, data[1])


def _convolution_prelu(number: int, node: Node, channels: int) -> Claim:
    name = node["name"]
    options = {"kernel": "(1, 1)", "num_filter": str(channels), "num_group": str(channels)}

    def build(rewriter: Rewriter) -> Entry:
        rewriter.set_shape(node["inputs"][1], (channels,))  # which a reshape cannot find
        data, slope = rewriter.entry(node["inputs"][0], uses=2), rewriter.entry(node["inputs"][1])
        positive = rewriter.add("Activation", f"{name}_positive", [data], {"act_type": "relu"})
        negative = rewriter.add("elemwise_sub", f"{name}_negative", [data, positive], {})
        kernel = rewriter.add("Reshape", f"{name}_kernel", [slope], {"shape": "(-1, 1, 1, 1)"})
        scaled = rewriter.add(
            "Convolution", f"{name}_scaled", [negative, kernel], options | {"no_bias": "True"}
        )
        return rewriter.add("elemwise_add", name, [positive, scaled], user_attrs(node))

    return Claim((number,), build)

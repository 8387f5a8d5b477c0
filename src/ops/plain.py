"""Networks of depthwise and 1x1 convolutions (MobileNet, DPN, DenseNet) on plain arrays.

oneDNN keeps arrays in blocks of 16 channels; every operator of an extension gets and gives them
plain, (N, C, H, W).  Where both take turns, half of a training step is spent on reordering.  So in
these networks all of this is ours:

    Convolution, depthwise   arcface_depthwise
    Convolution 1x1          arcface_pointwise
    BatchNorm                arcface_batchnorm
    BatchNorm, then PReLU    arcface_batchnorm with a slope: one pass over the data
    BatchNorm, then ReLU     arcface_batchnorm with a slope of 0
    Dropout, in training     arcface_dropout, whose random numbers cost little

The last four have more than one output, which would give a head of the graph another name: there
the stock operator stays.
"""

from __future__ import annotations

from collections.abc import Iterator
import re

from .own import is_own_prelu, is_shared_prelu, own_operator, own_prelu
from .rewrite import Claim, Graph, Node, attrs_of, is_prelu

TRUE = ("True", "true", "1")


def suits(graph: Graph) -> bool:
    """Tell whether oneDNN's blocks would be broken up all over the graph.

    So it is where most convolutions are depthwise or 1x1 and some are of groups (MobileNet,
    DPN, ResNeXt), and where most are followed by Dropout (DenseNet), which knows no blocks.
    Where all others are whole 3x3 convolutions (ResNet of bottlenecks) oneDNN is faster.
    """
    convolutions = [node for node in graph.nodes if node["op"] == "Convolution"]
    pointwise = sum(is_pointwise(graph, node) for node in convolutions)
    ours = pointwise + sum(is_depthwise(graph, node) for node in convolutions)
    dropouts = sum(node["op"] == "Dropout" for node in graph.nodes)
    if 2 * dropouts > len(convolutions) and pointwise:
        return True
    grouped = any(_groups(node) > 1 for node in convolutions)
    return grouped and 2 * ours > len(convolutions)


def convolutions(graph: Graph) -> Iterator[Claim]:
    """Rule: depthwise and 1x1 convolutions."""
    for number, node in enumerate(graph.nodes):
        attrs = attrs_of(node)
        if is_depthwise(graph, node):
            options = {
                "kernel": graph.shape(node["inputs"][1])[2],
                "stride": pair(attrs, "stride", 1)[0],
                "pad": pair(attrs, "pad", 0)[0],
            }
            yield own_operator(graph, (number,), "arcface_depthwise", node["inputs"], options)
        elif is_pointwise(graph, node):
            options = {"filters": attrs["num_filter"]}
            yield own_operator(graph, (number,), "arcface_pointwise", node["inputs"], options)


def dropouts(graph: Graph) -> Iterator[Claim]:
    """Rule: Dropout in a graph that only ever trains."""
    for number, node in enumerate(graph.nodes):
        if is_dropout(node) and not graph.is_head(number):
            options = {"p": attrs_of(node).get("p", "0.5")}
            yield own_operator(graph, (number,), "arcface_dropout", node["inputs"], options)


def norms_and_prelus(graph: Graph, *, training: bool, whole: bool = True) -> Iterator[Claim]:
    """Rule: BatchNorms, with the PReLU or ReLU that alone reads one, and every other PReLU.

    training: statistics of the batch, or the moving ones.  whole False leaves ReLUs to oneDNN, and
    every BatchNorm that no PReLU follows; but one that a PReLU feeds would get plain data
    there, which oneDNN is slow with.
    """
    norms = {number for number, node in enumerate(graph.nodes) if is_batch_norm(graph, node)}
    for number, node in enumerate(graph.nodes):
        if not (is_own_prelu(graph, number) or (whole and is_relu(node))):
            continue
        norm = node["inputs"][0][0]
        alone = norm not in norms or graph.readers(norm) != [number] or graph.is_head(number)
        if not alone and not (is_prelu(node) and is_shared_prelu(graph, number)):
            norms.remove(norm)
            yield _batch_norm(graph, (norm, number), training)
        elif is_prelu(node):
            yield own_prelu(graph, number)
    for number in sorted(norms):
        node = graph.nodes[number]
        if not graph.is_head(number) and (whole or is_prelu(graph.source(node))):
            yield _batch_norm(graph, (number,), training)


def _batch_norm(graph: Graph, nodes: tuple[int, ...], training: bool) -> Claim:
    """Return the claim of a BatchNorm, alone or with the activation after it."""
    norm, last = graph.nodes[nodes[0]], graph.nodes[nodes[-1]]
    act = "none" if norm is last else "prelu" if is_prelu(last) else "relu"
    slope = last["inputs"][1:] if act == "prelu" else []
    data, gamma, beta, *states = norm["inputs"]
    attrs = attrs_of(norm)
    options = {
        "eps": attrs.get("eps", "0.001"),
        "momentum": attrs.get("momentum", "0.9"),
        "act": act,
        "training": int(training),
    }
    sources = [data, gamma, beta, *slope, *states]
    return own_operator(graph, nodes, "arcface_batchnorm", sources, options, num_states=2)


def pair(attrs: dict[str, str], key: str, default: int) -> list[int]:
    """Return an attribute like "(3, 3)" as a list."""
    sizes = [int(size) for size in re.findall(r"\d+", attrs.get(key, ""))]
    return sizes or [default, default]


def is_convolution(graph: Graph, node: Node) -> bool:
    """Tell whether a node is a convolution without bias that ours may be in place of."""
    attrs = attrs_of(node)
    return (
        node["op"] == "Convolution"
        and len(node["inputs"]) == 2
        and graph.are_variables(node["inputs"][1:])
        and len(graph.shape(node["inputs"][1])) == 4
        and pair(attrs, "dilate", 1) == [1, 1]
        and attrs.get("layout", "None") in ("None", "NCHW")
    )


def is_depthwise(graph: Graph, node: Node) -> bool:
    """Tell whether it has one square kernel for each channel, of the same stride and pad."""
    if not is_convolution(graph, node):
        return False
    attrs = attrs_of(node)
    filters, channels_of_group, *kernel = graph.shape(node["inputs"][1])
    squares = [kernel, pair(attrs, "stride", 1), pair(attrs, "pad", 0)]
    one_each = _groups(node) == filters and channels_of_group == 1
    return one_each and filters > 1 and all(a == b for a, b in squares)


def is_pointwise(graph: Graph, node: Node) -> bool:
    if not is_convolution(graph, node):
        return False
    attrs = attrs_of(node)
    return (
        _groups(node) == 1
        and graph.shape(node["inputs"][1])[2:] == (1, 1)
        and pair(attrs, "stride", 1) == [1, 1]
        and pair(attrs, "pad", 0) == [0, 0]
    )


def _groups(node: Node) -> int:
    return int(attrs_of(node).get("num_group", "1"))


def is_batch_norm(graph: Graph, node: Node) -> bool:
    """Tell whether a node is a BatchNorm of axis 1 with a free gamma, and gives only its data."""
    attrs = attrs_of(node)
    return (
        node["op"] == "BatchNorm"
        and graph.are_variables(node["inputs"][1:])
        and attrs.get("axis", "1") == "1"
        and attrs.get("fix_gamma", "True") not in TRUE
        and attrs.get("output_mean_var", "False") not in TRUE
        and attrs.get("use_global_stats", "False") not in TRUE
    )


def is_dropout(node: Node) -> bool:
    """Tell whether a node drops single values, in training alone."""
    attrs = attrs_of(node)
    return (
        node["op"] == "Dropout"
        and attrs.get("mode", "training") == "training"
        and attrs.get("axes", "()") in ("()", "[]")
        and 0 < float(attrs.get("p", "0.5")) < 1
    )


def is_relu(node: Node) -> bool:
    return node["op"] == "Activation" and attrs_of(node).get("act_type") == "relu"

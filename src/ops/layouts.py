"""Keep BatchNorm off oneDNN's reference implementation in a training step.

On AVX-512, oneDNN holds the arrays of a convolution in blocks of 16 channels where the channels
of its groups are multiples of 16, and otherwise in blocks of 8 or in none.  A BatchNorm between
one of each kind gets its data and its gradient in different layouts.  For that oneDNN 1.x has
only its reference implementation, a hundred times slower: it takes three quarters of a step of
MobileNet v2.  A copy of the output, by an operator that is not oneDNN's, hands the gradient over
in no blocks at all, which MXNet itself brings into the layout of the data.

A convolution of groups of 4 or 12 channels (DPN, ResNeXt) gives blocks of 4, with which every
BatchNorm is one of those, whatever its gradient: there a copy goes before it as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from .rewrite import HEAD, Claim, Entry, Graph, Node, Rewriter, attrs_of, rewrite

BLOCK = 16
SMALL_BLOCK = 4
EVERY_CHANNEL = {"axis": "1", "begin": "0", "end": "None"}
KEEPS_LAYOUT = frozenset({"Activation", "Dropout", "LeakyReLU"})
KEEPS_CHANNELS = KEEPS_LAYOUT | {"BatchNorm", "Pooling", "_Plus", "_copy", "elemwise_add"}


def separate_layouts(graph: Graph) -> Graph:
    """Return the graph with copies about each BatchNorm whose layout oneDNN is slow with.

    Same results to the last bit.  The graph itself comes back where there is no such BatchNorm,
    and on processors without AVX-512.
    """
    return rewrite(graph, layouts=slow_norms(graph)) if _has_avx512() else graph


def slow_norms(graph: Graph) -> Iterator[Claim]:
    """Rule: such BatchNorms."""
    for number, node in enumerate(graph.nodes):
        if node["op"] == "BatchNorm" and graph.read_outputs(number) == {0}:
            small = _is_in_small_blocks(graph.source(node))
            if small or _is_torn(graph, number):
                yield _copied(number, node, small)


def _copied(number: int, node: Node, small: bool) -> Claim:
    """Return the claim of a BatchNorm for itself with a copy after it, and before it too."""
    name = node["name"]

    def build(rewriter: Rewriter) -> Entry:
        inputs = [rewriter.entry(entry) for entry in node["inputs"]]
        if small:
            inputs[0] = rewriter.add("slice_axis", f"{name}_plain", inputs[:1], EVERY_CHANNEL)
        norm = rewriter.add("BatchNorm", f"{name}_norm", inputs, attrs_of(node))
        return rewriter.add("slice_axis", name, [norm], EVERY_CHANNEL)

    return Claim((number,), build)


@lru_cache(maxsize=1)
def _has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def _is_torn(graph: Graph, number: int) -> bool:
    """Tell whether a BatchNorm stands between convolutions of different layouts."""
    before = graph.source(graph.nodes[number])
    if before["op"] != "Convolution":
        return False
    after = {_is_in_blocks(graph, node) for node in _convolutions_after(graph, number)}
    return bool(after) and _is_in_blocks(graph, before) not in after


def _is_in_small_blocks(node: Node) -> bool:
    """Tell whether this is a convolution of groups that are multiples of 4 but not of 8."""
    if node["op"] != "Convolution":
        return False
    attrs = attrs_of(node)
    filters, groups = int(attrs["num_filter"]), int(attrs.get("num_group", "1"))
    return groups > 1 and (filters // groups) % (2 * SMALL_BLOCK) == SMALL_BLOCK


def _convolutions_after(graph: Graph, start: int) -> list[Node]:
    found = []
    for reader in graph.readers(start):
        if reader == HEAD:
            continue
        if graph.nodes[reader]["op"] == "Convolution":
            found.append(graph.nodes[reader])
        elif graph.nodes[reader]["op"] in KEEPS_LAYOUT:
            found += _convolutions_after(graph, reader)
    return found


def _is_in_blocks(graph: Graph, convolution: Node) -> bool:
    """Tell whether a convolution's arrays are in blocks of 16 channels."""
    attrs = attrs_of(convolution)
    filters, groups = int(attrs["num_filter"]), int(attrs.get("num_group", "1"))
    channels = _channels(graph, graph.source(convolution))
    if groups > 1 and groups == filters == channels:  # depthwise
        return filters % BLOCK == 0
    fits = (filters // groups) % BLOCK == 0
    return fits and (channels is None or (channels // groups) % BLOCK == 0)


def _channels(graph: Graph, node: Node) -> int | None:
    """Return the channels of a node's output if they come in a layout of oneDNN's, else None.

    With other arrays, as of pictures and slices, a convolution is as if they were whole blocks.
    """
    if node["op"] == "Convolution":
        return int(attrs_of(node)["num_filter"])
    if node["op"] == "Concat":
        parts = [_channels(graph, graph.nodes[part]) for part, *_ in node["inputs"]]
        return None if None in parts else sum(parts)
    return _channels(graph, graph.source(node)) if node["op"] in KEEPS_CHANNELS else None

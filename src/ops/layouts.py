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

from functools import lru_cache
from pathlib import Path

import mxnet as mx

from .rewrite import Entry, Node, Rewriter, attrs_of

BLOCK = 16
SMALL_BLOCK = 4
EVERY_CHANNEL = {"axis": "1", "begin": "0", "end": "None"}
KEEPS_LAYOUT = frozenset({"Activation", "Dropout", "LeakyReLU"})
KEEPS_CHANNELS = KEEPS_LAYOUT | {"BatchNorm", "Pooling", "_Plus", "_copy", "elemwise_add"}


def separate_layouts(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the symbol with copies about each BatchNorm whose layout oneDNN is slow with.

    Same results to the last bit, names of arguments and outputs included.  The symbol itself
    comes back where there is no such BatchNorm, and on processors without AVX-512.
    """
    if not _has_avx512():
        return symbol
    rewriter = Rewriter(symbol)
    torn = _torn_norms(rewriter.old)
    small = _norms_of_small_blocks(rewriter.old)
    if not torn | small:
        return symbol

    def rule(rewriter: Rewriter, node: Node, inputs: list[Entry]) -> Entry | None:
        name = node["name"]
        if node["op"] != "BatchNorm" or name not in torn | small:
            return None
        if name in small:
            plain = rewriter.add("slice_axis", f"{name}_plain", inputs[:1], EVERY_CHANNEL)
            inputs = [plain, *inputs[1:]]
        norm = rewriter.add("BatchNorm", name, inputs, attrs_of(node))
        return rewriter.add("slice_axis", f"{name}_copy", [norm], EVERY_CHANNEL)

    return rewriter.run(rule)


@lru_cache(maxsize=1)
def _has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def _torn_norms(nodes: list[Node]) -> set[str]:
    """Return the names of the BatchNorms between convolutions of different layouts."""
    torn = set()
    users: dict[int, list[int]] = {}
    for i, node in enumerate(nodes):
        for source, *_ in node["inputs"]:
            users.setdefault(source, []).append(i)
    for i, node in enumerate(nodes):
        if node["op"] != "BatchNorm" or nodes[node["inputs"][0][0]]["op"] != "Convolution":
            continue
        data = _is_in_blocks(nodes, node["inputs"][0][0])
        gradients = {_is_in_blocks(nodes, user) for user in _convolutions_after(nodes, users, i)}
        if data not in gradients and gradients:
            torn.add(node["name"])
    return torn


def _norms_of_small_blocks(nodes: list[Node]) -> set[str]:
    """Return the names of the BatchNorms whose data comes in blocks of 4 channels."""
    return {
        node["name"]
        for node in nodes
        if node["op"] == "BatchNorm" and _is_in_small_blocks(nodes[node["inputs"][0][0]])
    }


def _is_in_small_blocks(node: Node) -> bool:
    """Tell whether this is a convolution of groups that are multiples of 4 but not of 8."""
    if node["op"] != "Convolution":
        return False
    attrs = attrs_of(node)
    filters, groups = int(attrs["num_filter"]), int(attrs.get("num_group", "1"))
    return groups > 1 and (filters // groups) % (2 * SMALL_BLOCK) == SMALL_BLOCK


def _convolutions_after(nodes: list[Node], users: dict[int, list[int]], start: int) -> list[int]:
    found = []
    for user in users.get(start, []):
        if nodes[user]["op"] == "Convolution":
            found.append(user)
        elif nodes[user]["op"] in KEEPS_LAYOUT:
            found += _convolutions_after(nodes, users, user)
    return found


def _is_in_blocks(nodes: list[Node], convolution: int) -> bool:
    """Tell whether a convolution's arrays are in blocks of 16 channels."""
    attrs = attrs_of(nodes[convolution])
    filters, groups = int(attrs["num_filter"]), int(attrs.get("num_group", "1"))
    channels = _channels(nodes, nodes[convolution]["inputs"][0][0])
    if groups > 1 and groups == filters == channels:  # depthwise
        return filters % BLOCK == 0
    fits = (filters // groups) % BLOCK == 0
    return fits and (channels is None or (channels // groups) % BLOCK == 0)


def _channels(nodes: list[Node], index: int) -> int | None:
    """Return the channels of a node's output as the graph tells them, or None."""
    node = nodes[index]
    if node["op"] == "Convolution":
        return int(attrs_of(node)["num_filter"])
    if node["op"] == "Concat":
        parts = [_channels(nodes, part) for part, *_ in node["inputs"]]
        return None if None in parts else sum(parts)
    if node["op"] in KEEPS_CHANNELS:
        return _channels(nodes, node["inputs"][0][0])
    return None

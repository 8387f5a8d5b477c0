"""Whether a network scales its pixels itself, read from its graph.

Published networks take raw pixels, 0..255, and begin by subtracting 127.5 and multiplying by
0.0078125, or by a BatchNorm of the pixels.  Where a network was prepared for ncnn or TensorRT
those nodes are often cut off, and its caller must scale: raw pixels give embeddings, but wrong
ones (LFW 0.65 in place of 0.996).
"""

from __future__ import annotations

import functools
import logging

from .nodes import Graph, Node

logger = logging.getLogger(__name__)

DATA = "data"
WEIGHTED = frozenset({"Convolution", "Deconvolution", "FullyConnected", "dot"})
# What hands pixels on as large as they come.
PASSING = frozenset(
    {
        "BlockGrad",
        "Cast",
        "Concat",
        "Dropout",
        "Flatten",
        "Pad",
        "Pooling",
        "Reshape",
        "SliceChannel",
    }
    | {"SwapAxis", "UpSampling", "_copy", "amp_cast", "clip", "expand_dims", "reverse", "relu"}
    | {"slice", "slice_axis", "squeeze", "tile", "transpose", "_maximum_scalar", "_minimum_scalar"}
)
# Arithmetic with a number that changes nothing.
NEUTRAL = {
    "_div_scalar": 1, "_minus_scalar": 0, "_mul_scalar": 1, "_plus_scalar": 0, "_power_scalar": 1
}  # fmt: skip


def raw_pixel_layer(graph: Graph) -> str | None:
    """Return the name of a layer with weights that sees "data" unscaled, None if there is none."""
    raw: set[int] = set()  # nodes whose outputs are pixels as they came
    for index, node in enumerate(graph.nodes):
        if node.is_variable:
            is_raw = node.name == DATA
        else:
            is_raw = any(entry.node in raw for entry in node.inputs)
            if is_raw and node.operator in WEIGHTED:
                return node.name
            is_raw = is_raw and _passes(node)
        if is_raw:
            raw.add(index)
    return None


def pixel_scaling(graph: Graph) -> tuple[float, float] | None:
    """Return (mean, factor) where the first layers make (x - mean) * factor of "data" and no more.

    None where they do anything else.
    """
    place, mean, factor = None, 0.0, 1.0
    for index, node in enumerate(graph.nodes):
        if node.is_variable:
            place = index if node.name == DATA else place
        elif place is not None and [entry.node for entry in node.inputs] == [place]:
            number = node.get("scalar", None)
            if node.operator == "_copy":
                pass
            elif node.operator == "_minus_scalar" and factor == 1:
                mean += number
            elif node.operator == "_mul_scalar":
                factor *= number
            elif node.operator == "_div_scalar" and number:
                factor /= number
            else:
                return None
            place = index
        elif place is not None and any(entry.node == place for entry in node.inputs):
            return mean, factor
    return None


def _passes(node: Node) -> bool:
    if node.operator in NEUTRAL:
        return node.get("scalar", None) == NEUTRAL[node.operator]
    return node.operator in PASSING


def tell_of_raw_pixels(name: str, graph: Graph) -> None:
    """Warn, once for each name, if a layer of the network sees pixels as they come."""
    layer = raw_pixel_layer(graph)
    if layer:
        _warn_once(name, layer)


@functools.cache
def _warn_once(name: str, layer: str) -> None:
    logger.warning(
        "%s: its symbol hands raw pixels, 0..255, to %r: nothing subtracts or multiplies before. "
        "If its scaling was cut off (as for ncnn or TensorRT), these embeddings are wrong: take "
        "the symbol as it was trained; if it was trained so, all is well",
        name,
        layer,
    )

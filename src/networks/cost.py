"""Parameters and multiply-adds of a network, counted on its graph."""

from __future__ import annotations

from dataclasses import dataclass
import json
from math import prod

from ..lazy_mxnet import mx


@dataclass(frozen=True)
class Cost:
    parameters: int  # values of all arguments but the data; running statistics not counted
    multiply_adds: int  # of convolutions and dense layers, for one picture
    embedding_size: int


def network_cost(symbol: mx.sym.Symbol, height: int = 112, width: int = 112) -> Cost:
    """Return the cost of a symbol with the one input "data" (N, 3, height, width).

    A multiply-add is one multiplication and one addition; some papers count it as 2 FLOPs.
    BatchNorm, activations, pools and sums are left out, as is usual.
    Raises ValueError if the picture is too small for the network.
    """
    data = {"data": (1, 3, height, width)}
    try:
        arguments, outputs, _ = symbol.infer_shape(**data)
    except mx.MXNetError:
        raise ValueError(f"a picture of {height}x{width} pixels does not fit the network") from None
    named = dict(zip(symbol.list_arguments(), arguments, strict=True))
    parameters = sum(prod(shape) for name, shape in named.items() if name != "data")
    return Cost(parameters, _multiply_adds(symbol, data), outputs[0][1])


def _multiply_adds(symbol: mx.sym.Symbol, data: dict[str, tuple[int, ...]]) -> int:
    internals = symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(**data)[1], strict=True))
    nodes = json.loads(symbol.tojson())["nodes"]
    total = 0
    for node in nodes:
        if node["op"] not in ("Convolution", "FullyConnected"):
            continue
        weight = shapes[nodes[node["inputs"][1][0]]["name"]]  # (filters, channels / groups, ...)
        out = shapes[node["name"] + "_output"]  # (1, filters, ...)
        total += prod(out) * prod(weight[1:])
    return total

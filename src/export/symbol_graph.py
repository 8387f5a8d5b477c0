"""An MXNet symbol as a list of nodes that a converter can walk.

Source: the JSON form of a symbol: nodes in order of evaluation, each input as
[node, output, version].
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
import json
import re
from typing import Any

import mxnet as mx

Shape = tuple[int, ...]
# Shapes are worked out for this many images: not 1, which other axes have too.
PROBE_BATCH = 2


@dataclass(frozen=True)
class Node:
    """One operator.  attributes hold numbers, tuples and booleans where MXNet writes such."""

    operator: str
    name: str
    attributes: dict[str, Any]
    inputs: tuple[str, ...]  # names of tensors: parameters, "data", or outputs of other nodes
    outputs: tuple[str, ...]

    def get(self, attribute: str, default: Any) -> Any:
        """Return an attribute, or the operator's own default where the symbol leaves it out."""
        value = self.attributes.get(attribute)
        return default if value is None else value


@dataclass(frozen=True)
class SymbolGraph:
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, Shape]  # of every tensor, for PROBE_BATCH images

    def readers(self, tensor: str) -> int:
        """Return how often a tensor is read, as an output of the graph included."""
        reads = sum(node.inputs.count(tensor) for node in self.nodes)
        return reads + self.outputs.count(tensor)


def read_symbol(symbol: mx.sym.Symbol, image_shape: Shape) -> SymbolGraph:
    """Return the operators of a symbol for images of (channels, height, width).

    Raises ValueError if the shapes do not follow, as for an image size the network is not for.
    """
    graph = json.loads(symbol.tojson())
    internals = symbol.get_internals()
    try:
        _, inferred, _ = internals.infer_shape(data=(PROBE_BATCH, *image_shape))
    except mx.MXNetError as error:
        raise ValueError(
            f"the network does not take images of shape {image_shape} (channels, height, "
            f"width): {str(error).strip().splitlines()[-1]}"
        ) from None
    shapes = dict(zip(internals.list_outputs(), inferred, strict=True))

    def tensor(entry: list[int]) -> str:
        source = graph["nodes"][entry[0]]
        if source["op"] == "null":
            return source["name"]
        numbered = f"{source['name']}_output{entry[1]}"
        return numbered if numbered in shapes else f"{source['name']}_output"

    nodes = []
    for index, node in enumerate(graph["nodes"]):
        if node["op"] == "null":
            continue
        attributes = {key: _literal(text) for key, text in node.get("attrs", {}).items()}
        rows = graph["node_row_ptr"]
        outputs = [tensor([index, i]) for i in range(rows[index + 1] - rows[index])]
        nodes.append(
            Node(
                node["op"],
                node["name"],
                attributes,
                tuple(tensor(entry) for entry in node["inputs"]),
                tuple(dict.fromkeys(outputs)),  # hidden outputs fold into the visible one
            )
        )
    return SymbolGraph(tuple(nodes), tuple(tensor(head) for head in graph["heads"]), shapes)


def _literal(text: str) -> Any:
    """Return the value of an attribute as Python, Python 2 ("2L") or other languages wrote it.

    literal_eval reads constants and runs nothing; what is none, however it fails, is plain text.
    """
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(re.sub(r"\b(\d+)L\b", r"\1", text))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text

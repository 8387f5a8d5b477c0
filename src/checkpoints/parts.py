"""Parts of a graph: what computes the embedding, without casts, without labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .nodes import VARIABLE, Entry, Graph, Node

EMBEDDING_OUTPUT = "fc1_output"  # published name of the embedding in every checkpoint
FLOATS = ("float16", "float32", "float64")
FLOAT_CODES = ("0", "1", "2")  # the same, as a variable's __dtype__ says them
COPY = "_copy"


def embedding_part(graph: Graph) -> Graph:
    """Return the part of a graph that ends in the embedding.  Raises ValueError without one."""
    found = [
        Entry(index, 0)
        for index, node in enumerate(graph.nodes)
        if not node.is_variable and node.output_name(0) == EMBEDDING_OUTPUT
    ]
    if len(found) > 1:
        raise ValueError(f"{graph.source}: {len(found)} outputs are called {EMBEDDING_OUTPUT!r}")
    if not found:
        raise ValueError(
            f"{graph.source}: no output {EMBEDDING_OUTPUT!r} in the symbol; it ends in "
            f"{', '.join(graph.output_names()[:5])}: not a network that embeds"
        )
    return graph.ending_in(found)


def without_casts(graph: Graph) -> Graph:
    """Return the graph in one precision, float32: no casts between floats, no float16 variables.

    Raises ValueError for a cast to anything else, which changes the values.
    """

    def uncast(node: Node) -> dict[int, Entry] | None:
        if node.operator == "amp_multicast" and len(node.inputs) == node.get("num_outputs", 0):
            return dict(enumerate(node.inputs))
        if node.operator not in ("Cast", "amp_cast"):
            return None
        if len(node.inputs) != 1 or node.texts.get("dtype") not in FLOATS:
            raise ValueError(
                f"{graph.source}: {node.operator} {node.name!r} casts to "
                f"{node.texts.get('dtype')!r}; a network of floats casts to {', '.join(FLOATS)}"
            )
        return {0: node.inputs[0]}

    return _without(replace(graph, nodes=tuple(map(_untyped, graph.nodes))), uncast)


def without_labels(graph: Graph) -> Graph:
    """Return the graph with SoftmaxOutput, which reads a label to train, as the softmax it gives.

    Raises ValueError if such a layer has not the two inputs it should have.
    """

    def unlabelled(node: Node) -> Node:
        if node.operator != "SoftmaxOutput":
            return node
        if len(node.inputs) != 2:
            raise ValueError(f"{graph.source}: SoftmaxOutput {node.name!r} has not two inputs")
        if node.get("multi_output", False):
            operator, texts = "softmax", {"axis": "1"}
        elif node.get("preserve_shape", False):
            operator, texts = "softmax", {"axis": "-1"}
        else:
            operator, texts = "SoftmaxActivation", {}
        return Node(operator, node.name, texts, node.inputs[:1])

    changed = replace(graph, nodes=tuple(map(unlabelled, graph.nodes)))
    return changed.ending_in(changed.outputs)


def _untyped(node: Node) -> Node:
    """Return a variable without the float type that it was given."""
    if node.operator != VARIABLE or node.texts.get("__dtype__") not in FLOAT_CODES:
        return node
    return replace(node, texts={k: v for k, v in node.texts.items() if k != "__dtype__"})


def _without(graph: Graph, standing_for: Callable[[Node], dict[int, Entry] | None]) -> Graph:
    """Return the graph without the nodes that do nothing but hand on.

    standing_for(node) gives for each output what it stands for, or None for a node that stays.
    Such a node at the end becomes a copy, so that the output keeps its name.
    """
    stands: dict[Entry, Entry] = {}
    nodes: list[Node] = []
    for index, node in enumerate(graph.nodes):
        node = replace(node, inputs=tuple(stands.get(entry, entry) for entry in node.inputs))
        for output, entry in (standing_for(node) or {}).items():
            stands[Entry(index, output)] = entry
        nodes.append(node)
    for output in graph.outputs:
        if output in stands and output.output == 0:
            node = nodes[output.node]
            nodes[output.node] = Node(COPY, node.name, {}, (stands[output],))
    outputs = [entry if entry.output == 0 else stands.get(entry, entry) for entry in graph.outputs]
    changed = replace(graph, nodes=tuple(nodes))
    return changed.ending_in(outputs)

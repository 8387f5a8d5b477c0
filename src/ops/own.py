"""One of our operators in the place of stock ones, with what MXNet 1.9.1 does not tell it."""

from __future__ import annotations

from collections.abc import Sequence

from .rewrite import Claim, Entry, Graph, Rewriter, is_prelu, user_attrs


def own_operator(
    graph: Graph,
    nodes: tuple[int, ...],
    op: str,
    sources: Sequence[Entry],
    options: dict[str, object],
    num_states: int = 0,
) -> Claim:
    """Return the claim of nodes for one operator of ours, under the name of the last of them.

    sources: its inputs, entries of the graph, the last num_states of them auxiliary states.

    Operators of an extension are not told when a gradient is to be added to what is there: such
    an input is multiplied by 1.  A _copy would be optimised away, and equal nodes be merged
    into one: the attribute keeps these apart.  And room for the shapes of their inputs is made
    from the ranks, -1 where one is unknown, and then written past: variables get a rank.
    """

    def build(rewriter: Rewriter) -> Entry:
        last, entries = graph.nodes[nodes[-1]], []
        for i, source in enumerate(sources):
            rewriter.set_shape(source, (0,) * len(graph.shape(source)))
            entry = rewriter.entry(source)
            if i < len(sources) - num_states and graph.adds_gradients(source):
                attrs = {"scalar": "1", "__input__": f"{i} of node {nodes[-1]}"}
                entry = rewriter.add("_mul_scalar", f"{last['name']}_in{i}", [entry], attrs)
            entries.append(entry)
        attrs = user_attrs(last) | {key: str(value) for key, value in options.items()}
        return rewriter.add(op, last["name"], entries, attrs)

    return Claim(nodes, build)


def is_own_prelu(graph: Graph, number: int) -> bool:
    """Tell whether a node is a PReLU that ours may be in place of."""
    node = graph.nodes[number]
    return is_prelu(node) and graph.are_variables(node["inputs"][1:])


def own_prelu(graph: Graph, number: int) -> Claim:
    return own_operator(graph, (number,), "arcface_prelu", graph.nodes[number]["inputs"], {})

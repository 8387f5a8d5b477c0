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

    Operators of an extension are not told when a gradient is to be added to what is there, as
    to a variable bound with grad_req "add": such an input is multiplied by 1; a _copy would be
    optimised away.  And room for the shapes of their inputs is made from the ranks, -1 where
    one is unknown, and then written past: variables get a rank.
    """

    def build(rewriter: Rewriter) -> Entry:
        last = graph.nodes[nodes[-1]]
        for source in sources:
            rewriter.set_shape(source, (0,) * len(graph.shape(source)))
        learned = len(sources) - num_states
        entries = [rewriter.entry(source) for source in sources]
        for i, source in enumerate(sources[:learned]):
            if graph.accumulates and graph.are_variables([source]):
                name = f"{last['name']}_in{i}"
                entries[i] = rewriter.add("_mul_scalar", name, [entries[i]], {"scalar": "1"})
        attrs = user_attrs(last) | {key: str(value) for key, value in options.items()}
        return rewriter.add(op, last["name"], entries, attrs)

    return Claim(nodes, build)


def is_own_prelu(graph: Graph, number: int) -> bool:
    """Tell whether a node is a PReLU that ours may be in place of."""
    node = graph.nodes[number]
    return is_prelu(node) and graph.are_variables(node["inputs"][1:])


def is_shared_prelu(graph: Graph, number: int) -> bool:
    """Tell whether a PReLU has one slope for several channels, as networks of others may."""
    data, slope = map(graph.shape, graph.nodes[number]["inputs"])
    return slope == (1,) != data[1:2]


def own_prelu(graph: Graph, number: int) -> Claim:
    node = graph.nodes[number]
    if not is_shared_prelu(graph, number):
        return own_operator(graph, (number,), "arcface_prelu", node["inputs"], {})
    data, slope = node["inputs"]
    shape = {"shape": f"({graph.shape(data)[1]},)"}

    def build(rewriter: Rewriter) -> Entry:
        """Ours takes a slope for each channel."""
        rewriter.set_shape(slope, (1,))
        slopes = rewriter.add(
            "broadcast_to", f"{node['name']}_slopes", [rewriter.entry(slope)], shape
        )
        entries = [rewriter.entry(data), slopes]
        return rewriter.add("arcface_prelu", node["name"], entries, user_attrs(node))

    return Claim((number,), build)

"""How many channels the image of a network has: its symbol does not say, its weights do."""

from __future__ import annotations

from ..checkpoints.network import DATA, StoredNetwork
from ..checkpoints.nodes import Entry

RGB = 3
# Operators whose output has the channels of their first input.
KEEPS_CHANNELS = frozenset(
    {"_plus_scalar", "_minus_scalar", "_rminus_scalar", "_mul_scalar", "_div_scalar"}
    | {"_copy", "BlockGrad", "Dropout", "Pooling", "Activation", "BatchNorm", "LeakyReLU", "clip"}
)


def input_channels(network: StoredNetwork) -> int:
    """Return the channels that the first convolution reads, 3 where there is none to tell."""
    graph = network.graph
    shares = {  # of an output: how many of its channels make the image's
        Entry(index, 0): 1 for index, node in enumerate(graph.nodes) if node.name == DATA
    }
    for index, node in enumerate(graph.nodes):
        share = shares.get(node.inputs[0]) if node.inputs else None
        if share is None:
            continue
        if node.operator == "Convolution" and len(node.inputs) > 1:
            weight = network.parameters.get(graph.nodes[node.inputs[1].node].name)
            groups = node.get("num_group", 1)
            if weight is not None and weight.ndim > 1:
                return weight.shape[1] * groups * share
        elif node.operator == "SliceChannel" and node.get("axis", 1) == 1:
            count = node.get("num_outputs", 1)
            shares |= {Entry(index, number): share * count for number in range(count)}
        elif node.operator in KEEPS_CHANNELS:
            shares[Entry(index, 0)] = share
    return RGB

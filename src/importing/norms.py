"""Statistics for norms that were made of biases, measured on real crops.

A norm that only adds a bias computes what the file computes, but trained like any other it would
take the statistics of its batch for known.  Measured, mean and variance stand in it, and scale and
shift undo them: the network computes the same, and its norms train like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import mxnet as mx
import numpy as np

from ..checkpoints.load import as_symbol
from ..checkpoints.network import DATA, StoredNetwork

LEAST_CROPS = 32  # fewer say too little of a mean and a variance
BATCH = 8  # crops at a time: what all layers give is held at once
NORM_INPUTS = ("gamma", "beta", "moving_mean", "moving_var")


def with_measured_norms(
    network: StoredNetwork, names: Sequence[str], rgb_nhwc: np.ndarray
) -> StoredNetwork:
    """Return the network with statistics in the named norms, which then learn as any other.

    rgb_nhwc: uint8 (N, H, W, 3), N at least LEAST_CROPS.  It computes what it computed before, but
    for rounding.
    """
    graph = network.graph
    norms = {node.name: node for node in graph.nodes if node.name in set(names)}
    means, variances = _statistics(network, [norms[name].inputs[0] for name in names], rgb_nhwc)
    parameters = dict(network.parameters)
    for name, mean, var in zip(names, means, variances, strict=True):
        entries = dict(zip(NORM_INPUTS, norms[name].inputs[1:], strict=True))
        own = {role: graph.nodes[entry.node].name for role, entry in entries.items()}
        eps = float(norms[name].get("eps", 1e-3))
        parameters[own["gamma"]] = np.sqrt(var + eps).astype(np.float32)
        parameters[own["beta"]] = (parameters[own["beta"]] + mean).astype(np.float32)
        parameters[own["moving_mean"]] = mean.astype(np.float32)
        parameters[own["moving_var"]] = var.astype(np.float32)
    nodes = tuple(
        replace(node, texts={k: v for k, v in node.texts.items() if k != "use_global_stats"})
        if node.name in norms
        else node
        for node in graph.nodes
    )
    return StoredNetwork(replace(graph, nodes=nodes), parameters)


def _statistics(
    network: StoredNetwork, entries: Sequence, rgb_nhwc: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return mean and variance of each channel of some layers, float64 (C,)."""
    outputs = replace(network.graph, outputs=tuple(entries))
    symbol = as_symbol(outputs)
    shape = (BATCH, 3, *rgb_nhwc.shape[1:3])
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=shape)
    for arrays in (executor.arg_dict, executor.aux_dict):
        for name, array in arrays.items():
            if name != DATA:
                array[:] = network.parameters[name]
    count, sums, squares = 0, [0.0] * len(entries), [0.0] * len(entries)
    for start in range(0, len(rgb_nhwc) - BATCH + 1, BATCH):
        batch = rgb_nhwc[start : start + BATCH].transpose(0, 3, 1, 2).astype(np.float32)
        made = executor.forward(is_train=False, data=mx.nd.array(batch))
        for number, output in enumerate(made):
            values = output.asnumpy().astype(np.float64)
            sums[number] = sums[number] + values.mean(axis=(0, 2, 3))
            squares[number] = squares[number] + (values**2).mean(axis=(0, 2, 3))
        count += 1
    means = [total / count for total in sums]
    variances = [
        np.maximum(square / count - mean**2, 0) for square, mean in zip(squares, means, strict=True)
    ]
    return means, variances

"""A checkpoint as arcface_torch names and computes it: the other way of importing/from_torch.py.

There every norm has an epsilon of 1e-5 and pixels come as (x - 127.5) / 127.5.  What is otherwise
here goes into the parameters, exactly but for rounding: another epsilon into the variances,
another factor of the pixels into the first convolution.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..checkpoints.graph import parse_graph
from ..checkpoints.network import StoredNetwork, computes_the_same
from ..checkpoints.nodes import Entry, Graph, Node
from ..engines.parity import Parity
from ..importing.from_onnx import Imported
from ..importing.from_torch import COUNTER, EMBEDDING_NORM, FIRST
from ..importing.preprocessing import Preprocessing
from ..importing.proof import checked, file_embeddings
from ..importing.torch_networks import (
    EPS,
    IRESNETS,
    MOBILEFACENETS,
    PIXEL_MEAN,
    PIXEL_SCALE,
    SCALES,
    TorchNetwork,
    iresnet,
    mobilefacenet,
)
from ..importing.torch_reference import INPUT, OUTPUT, reference_model
from ..networks.published import RENAMED

SCALARS = ("_minus_scalar", "_mul_scalar", "_div_scalar")
# What some versions of MXNet wrote out, and others left to be the default.
DEFAULTS = {
    "Convolution": {
        "num_group": 1, "dilate": (1, 1), "stride": (1, 1), "pad": (0, 0), "no_bias": False,
        "layout": None,
    },
    "FullyConnected": {"no_bias": False, "flatten": True},
    "LeakyReLU": {"slope": 0.25, "lower_bound": 0.125, "upper_bound": 0.334},
}  # fmt: skip
NEVER = object()
PASSING = ("Dropout", "_copy")  # outside training they pass their input on


def torch_state(network: StoredNetwork) -> tuple[TorchNetwork, dict[str, np.ndarray]]:
    """Return the network of arcface_torch that a checkpoint is, and its state by their names.

    Arrays are float32, and int64 for what counts batches.  Raises ValueError if arcface_torch has
    no such network.
    """
    network = _with_names_of_today(network)
    known = _found(network)
    factor = _pixel_factor(network.graph)
    eps = {
        name: float(node.get("eps", 1e-3))
        for node in network.graph.nodes
        if node.operator == "BatchNorm"
        for name in (network.graph.nodes[node.inputs[4].node].name,)
    }
    fixed = {
        network.graph.nodes[node.inputs[1].node].name
        for node in network.graph.nodes
        if node.operator == "BatchNorm" and node.get("fix_gamma", True)
    }
    values = dict(network.parameters)
    bias = values.get("pre_fc1_bias")
    if known.is_mobile and bias is not None:  # their last layer has none; a norm follows
        mean = f"{EMBEDDING_NORM}_moving_mean"
        values[mean] = (values[mean].astype(np.float64) - bias).astype(np.float32)
    first = known.names[FIRST[known.is_mobile]]
    if factor != 1:
        values[first] = (values[first].astype(np.float64) * factor).astype(np.float32)
    state: dict[str, np.ndarray] = {}
    for there, here in known.names.items():
        value = np.ones_like(values[here]) if here in fixed else values[here]
        if here in eps and eps[here] != EPS:
            value = (value.astype(np.float64) + (eps[here] - EPS)).astype(np.float32)
            if value.min() < 0:
                raise ValueError(f"{here} is below {EPS - eps[here]:g}, which no epsilon of {EPS} "
                                 "can stand for")  # fmt: skip
        state[there] = value
        stem, _, role = there.rpartition(".")
        if role == "running_var":
            state[f"{stem}.{COUNTER}"] = np.array(0, np.int64)
    return known, state


def compare_with_torch(
    network: StoredNetwork,
    known: TorchNetwork,
    state: dict[str, np.ndarray],
    rgb_nhwc: np.ndarray,
    source: str,
) -> Parity:
    """Return how near the module with this state comes to MXNet on crops (N, H, W, 3), uint8.

    Raises ValueError if it is not as near as one network must be.
    """
    fed = Preprocessing("rgb", (PIXEL_MEAN,), (PIXEL_SCALE,), known.size)
    arrays = {name: array for name, array in state.items() if not name.endswith(COUNTER)}
    model = Imported(network, fed, known.size, INPUT, OUTPUT, None)
    raw = rgb_nhwc.transpose(0, 3, 1, 2)  # (N, 3, H, W)
    found = file_embeddings(model, reference_model(known, arrays), fed.apply(raw), source)
    return checked(network, raw, found, source, "arcface_torch would")


def _with_names_of_today(network: StoredNetwork) -> StoredNetwork:
    """Return the network with the names that parameters of published checkpoints have now."""
    names = network.parameters.keys()
    changed = {old: new for old, new, beside in RENAMED if old in names and beside in names}
    nodes = tuple(
        replace(node, name=changed[node.name])
        if node.is_variable and node.name in changed
        else node
        for node in network.graph.nodes
    )
    parameters = {changed.get(name, name): value for name, value in network.parameters.items()}
    return StoredNetwork(replace(network.graph, nodes=nodes), parameters)


def _found(network: StoredNetwork) -> TorchNetwork:
    names = network.parameters.keys()
    all_known = [
        *(iresnet(units) for units in IRESNETS.values()),
        *(mobilefacenet(blocks, k) for blocks in MOBILEFACENETS.values() for k in SCALES),
    ]
    for known in all_known:
        if names - {"pre_fc1_bias"} != set(known.names.values()) - {"pre_fc1_bias"}:
            continue
        emb_size = len(network.parameters["pre_fc1_weight"])
        symbol = known.build(emb_size)
        wanted = _bare(parse_graph(symbol.tojson(), known.title))
        shapes, _, _ = symbol.infer_shape(data=(1, 3, *known.size))
        first = known.names[FIRST[known.is_mobile]]
        shape = dict(zip(symbol.list_arguments(), shapes, strict=True))[first]
        if computes_the_same(_bare(network.graph), wanted) and (
            network.parameters[first].shape == shape
        ):
            return known
    raise ValueError(
        f"{network.graph.source}: arcface_torch has no such network: it has LResNet-IR (unit 3, "
        f"head E, prelu, no squeeze-excitation) of {', '.join(map(str, IRESNETS))} layers, and "
        "MobileFaceNet (y1 with head GDC, and wider ones); arcface-onnx exports any"
    )


def _pixel_factor(graph: Graph) -> float:
    """Return what the first convolution's weights are to be multiplied by.

    Raises ValueError unless the pixels' mean is theirs: where the image is padded nothing but the
    same mean gives the same.
    """
    mean, factor = 0.0, 1.0
    for node in graph.nodes:
        if node.operator in SCALARS:
            value = float(node.get("scalar", 0.0))
            if node.operator == "_minus_scalar":
                mean = value
            else:
                factor *= value if node.operator == "_mul_scalar" else 1 / value
    if mean != PIXEL_MEAN:
        raise ValueError(
            f"{graph.source}: it subtracts {mean:g} from the pixels; arcface_torch subtracts "
            f"{PIXEL_MEAN}, and nothing else gives the same at the edges"
        )
    return factor * PIXEL_SCALE


def _bare(graph: Graph) -> Graph:
    """Return a graph without what may differ: epsilons, fixed gammas, factors, what passes on."""
    kept: dict[int, Entry] = {}
    nodes: list[Node] = []
    for index, node in enumerate(graph.nodes):
        inputs = tuple(
            kept[entry.node]._replace(output=entry.output or kept[entry.node].output)
            for entry in node.inputs
        )
        if node.operator in PASSING and index != graph.outputs[0].node:
            kept[index] = inputs[0]
            continue
        usual = DEFAULTS.get(node.operator, {})
        texts = {k: v for k, v in node.texts.items() if node.attributes[k] != usual.get(k, NEVER)}
        operator = node.operator
        if operator == "BatchNorm":
            texts = {k: v for k, v in texts.items() if k == "axis"}
        elif operator in SCALARS:
            operator = "_minus_scalar" if operator == "_minus_scalar" else "_mul_scalar"
            texts = {}
        nodes.append(replace(node, operator=operator, texts=texts, inputs=inputs))
        kept[index] = Entry(len(nodes) - 1, 0)
    outputs = tuple(kept[entry.node] for entry in graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs)

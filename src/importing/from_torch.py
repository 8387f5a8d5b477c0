"""A checkpoint of arcface_torch as a network of this project: names changed, statistics kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
import os
import re

import numpy as np

from ..checkpoints.graph import parse_graph
from ..checkpoints.network import DATA, StoredNetwork
from ..checkpoints.nodes import Graph, Node
from .from_onnx import Imported
from .preprocessing import Preprocessing
from .torch_file import read_torch
from .torch_networks import EPS, PIXEL_MEAN, PIXEL_SCALE, TorchNetwork, as_floats, recognised
from .torch_reference import INPUT, OUTPUT, reference_model

COUNTER = "num_batches_tracked"  # batches that a norm saw in training; nothing is computed of it
# The first parameter of each network, by which prefixes such as "module." are seen.
FIRST = ("conv1.weight", "layers.0.layers.0.weight")
PREFIX = re.compile(r"(?!(.*\.)?layers?\d?\.\d+\.$).*\.", re.DOTALL)  # of no inner layer
EMBEDDING_NORM = "fc1"


def import_torch(
    path: str | os.PathLike,
    *,
    color: str | None = None,
    mean: tuple[float, ...] | None = None,
    scale: tuple[float, ...] | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[Imported, bytes]:
    """Return the network of a .pth, .pt or .safetensors, and an ONNX file that computes it.

    color, mean, scale: as in import_onnx(); where nothing is said, RGB and (x - 127.5) / 127.5, as
    arcface_torch trains.  size: only to be compared.  Raises FileNotFoundError, or ValueError that
    names what is missing, left over or of another shape.
    """
    arrays = read_torch(path)
    try:
        arrays, prefix, others = without_prefix(arrays)
        network = recognised({name: array.shape for name, array in arrays.items()})
        arrays = as_floats(arrays)
        fed = _fed(network, color, mean, scale, size)
        made = network_of(network, arrays, fed)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    notes = [f"{network.title} of arcface_torch, embedding of {_emb_size(arrays, network)}"]
    if prefix:
        notes.append(f"its names begin with {prefix!r}, which was left out")
    if others:
        notes.append(f"{len(others)} arrays of other parts were left aside, such as {others[0]}")
    imported = Imported(made, fed, network.size, INPUT, OUTPUT, None, notes=notes)
    return imported, reference_model(network, arrays)


def without_prefix(
    arrays: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], str, list[str]]:
    """Return a network's arrays by their plain names, the prefix they had, and other arrays' names.

    What counts batches is left out.
    """
    ends = {name.removesuffix(first) for first in FIRST for name in arrays if name.endswith(first)}
    prefixes = sorted((end for end in ends if not end or PREFIX.fullmatch(end)), key=len)
    prefix = prefixes[0] if prefixes else ""
    kept, others = {}, []
    for name, array in arrays.items():
        plain = name.removeprefix(prefix)
        stem, _, last = plain.rpartition(".")
        if not name.startswith(prefix):
            others.append(name)
        elif last != COUNTER or f"{prefix}{stem}.running_mean" not in arrays:
            kept[plain] = array
    return kept, prefix, others


def network_of(
    network: TorchNetwork, arrays: Mapping[str, np.ndarray], fed: Preprocessing
) -> StoredNetwork:
    """Return the network here with the parameters of one there, float32 by their names there.

    Raises ValueError naming what is missing, left over or of another shape.
    """
    _refuse(network.title, "lacks", network.names.keys() - arrays.keys())
    _refuse(network.title, "has no", arrays.keys() - network.names.keys())
    symbol = network.build(_emb_size(arrays, network))
    shapes, _, states = symbol.infer_shape(data=(1, 3, *network.size))
    wanted = dict(zip(symbol.list_arguments(), shapes, strict=True))
    wanted |= dict(zip(symbol.list_auxiliary_states(), states, strict=True))
    parameters = {here: arrays[there] for there, here in network.names.items()}
    parameters |= {  # MobileFaceNet's last layer has none there
        name: np.zeros(wanted[name], np.float32) for name in wanted.keys() - parameters - {DATA}
    }
    theirs = {here: there for there, here in network.names.items()}
    wrong = [
        f"{theirs[name]} is {value.shape}, not {wanted[name]}"
        for name, value in parameters.items()
        if value.shape != wanted[name]
    ]
    if wrong:
        raise ValueError(f"{network.title}: {'; '.join(wrong[:5])}")
    if fed.color == "bgr":  # its first layer takes RGB from now on
        first = network.names[FIRST[network.is_mobile]]
        parameters[first] = np.ascontiguousarray(parameters[first][:, ::-1])
    is_fixed = bool((parameters[f"{EMBEDDING_NORM}_gamma"] == 1).all())
    graph = parse_graph(symbol.tojson(), network.title)
    return StoredNetwork(_as_there(graph, fed, is_fixed), parameters)


def _as_there(graph: Graph, fed: Preprocessing, is_fixed: bool) -> Graph:
    """Return our graph with their epsilon, scaling, and dropout of none."""

    def changed(node: Node) -> Node:
        texts = dict(node.texts)
        if node.operator == "BatchNorm":
            texts["eps"] = str(EPS)
            if node.name == EMBEDDING_NORM:
                texts["fix_gamma"] = str(is_fixed)
            return replace(node, texts=texts)
        if node.operator == "Dropout":
            return replace(node, texts=texts | {"p": "0.0"})
        if node.operator == "_minus_scalar":
            return replace(node, texts=texts | {"scalar": str(fed.means()[0])})
        if node.operator == "_mul_scalar":  # a division, which is not the product with 1 / scale
            return replace(
                node, operator="_div_scalar", texts=texts | {"scalar": str(fed.scales()[0])}
            )
        return node

    return replace(graph, nodes=tuple(map(changed, graph.nodes)))


def _fed(
    network: TorchNetwork,
    color: str | None,
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    size: tuple[int, int] | None,
) -> Preprocessing:
    mean, scale = mean or (PIXEL_MEAN,), scale or (PIXEL_SCALE,)
    if len(set(mean)) > 1 or len(set(scale)) > 1:
        raise ValueError(f"{network.title} is fed with one --mean and one --scale for all channels")
    if size not in (None, network.size):
        raise ValueError(
            f"{network.title} is of images of {network.size[0]}x{network.size[1]}, --image-size "
            f"says {size[0]}x{size[1]}"
        )
    return Preprocessing(color or "rgb", mean[:1], scale[:1], network.size)


def _emb_size(arrays: Mapping[str, np.ndarray], network: TorchNetwork) -> int:
    weight = arrays["features.layers.2.weight" if network.is_mobile else "fc.weight"]
    if weight.ndim != 2 or not 1 <= len(weight) <= 1 << 16:
        raise ValueError(f"{network.title}: its last layer has weights {weight.shape}")
    return len(weight)


def _refuse(title: str, what: str, names: Iterable[str]) -> None:
    listed = sorted(names)
    if listed:
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        there = "its file" if what == "lacks" else title
        raise ValueError(f"{title}: {there} {what} {', '.join(listed[:5])}{more}")

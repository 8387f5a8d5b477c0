"""The network that an export was made of, carried by the export itself.

An export that is not folded holds every parameter.  Its metadata say the rest: "symbol", the
symbol's JSON, with what only training reads (dropout, fixed gammas, the names of all layers), and
"parameters", JSON, by MXNet's name [tensor, shape], or [base64 of little-endian float32, shape,
"values"] for one that the graph does not hold as it was.  So the network comes back to the bit:
its fingerprint is that of the checkpoint.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
import json
import math
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from ..checkpoints.graph import LARGEST_FILE, parse_graph, to_json
from ..checkpoints.network import DATA, StoredNetwork
from ..limits import check_count, parse_json

SYMBOL, PARAMETERS, VALUES = "symbol", "parameters", "values"


def facts_of(
    network: StoredNetwork,
    constants: Mapping[str, np.ndarray],
    forms: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Return the metadata from which original_network() makes the network again.

    constants: the tensors that the model holds.  forms: by parameter, those made of it.
    """
    places: dict[str, list[Any]] = {}
    for name, value in network.parameters.items():
        for tensor in (name, *forms.get(name, ())):
            if tensor in constants and _has_same_bits(constants[tensor], value):
                places[name] = [tensor, value.shape]
                break
        else:
            text = base64.b64encode(value.astype("<f4").tobytes()).decode("ascii")
            places[name] = [text, value.shape, VALUES]
    symbol = json.loads(to_json(network.graph))
    return {SYMBOL: _compact(symbol), PARAMETERS: _compact(places)}


def original_network(model: ModelProto, source: str) -> StoredNetwork | None:
    """Return the network that an export was made of; None if its metadata do not hold one.

    source: where the model is from, for messages.  Raises ValueError if the metadata are damaged,
    or the weights are no longer those of the export.
    """
    facts = {entry.key: entry.value for entry in model.metadata_props}
    if SYMBOL not in facts:
        return None
    where = f"{source}, metadata {SYMBOL!r}"
    check_count(len(facts[SYMBOL]), LARGEST_FILE, where, "characters")
    graph = parse_graph(facts[SYMBOL], where)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    try:
        places = parse_json(facts.get(PARAMETERS, ""), source, "metadata")
        parameters = {
            name: _parameter(tensors, *places[name]) for name in graph.variables() if name != DATA
        }
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{source}: its metadata {PARAMETERS!r} do not fit the file ({error}); it was changed "
            "after its export"
        ) from None
    network = StoredNetwork(graph, parameters)
    if network.fingerprint != facts.get("fingerprint"):
        raise ValueError(
            f"{source}: its symbol and weights have the fingerprint {network.fingerprint}, its "
            f"metadata say {facts.get('fingerprint', 'none')}: it was changed after its export"
        )
    return network


def _parameter(
    tensors: Mapping[str, TensorProto], place: str, shape: Sequence[int], kind: str = ""
) -> np.ndarray:
    if kind == VALUES:
        value = np.frombuffer(base64.b64decode(place, validate=True), "<f4").astype(np.float32)
    else:
        value = numpy_helper.to_array(tensors[place])
    if value.dtype != np.float32 or value.size != math.prod(shape):
        raise ValueError(f"{value.dtype} {value.shape} for {tuple(shape)}")
    return value.reshape(shape)


def _has_same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two arrays hold the same numbers in the same order, in whatever shape."""
    if one is other:
        return True
    one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
    return one.dtype == other.dtype and one.size == other.size and one.tobytes() == other.tobytes()


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

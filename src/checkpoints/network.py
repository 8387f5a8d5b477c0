"""A network as it is stored, without MXNet: its graph, its parameters and their fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import functools
from functools import cached_property
import hashlib
import json
import logging
import operator
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..files import reading_set
from ..limits import open_file
from .graph import Graph, embedding_part, parse_graph, read_graph, without_casts, without_labels
from .names import existing_params, split_checkpoint, symbol_path
from .nodes import HARMLESS, Node
from .params import read_params, split_params

logger = logging.getLogger(__name__)

DATA = "data"
CLASSIFIER_PREFIX = "fc7"  # of parameters that are often left in a file whose symbol was slimmed
TRAINING_PREFIXES = (CLASSIFIER_PREFIX, "teacher_map")  # the other: of a last state, with --teacher
BLOCK = 1 << 20  # bytes of a file that are hashed at a time


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A graph without casts, and the parameters that it reads, float32, by name."""

    graph: Graph
    parameters: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, symbol: Any, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any]
    ) -> StoredNetwork:
        """Return the embedding part of MXNet's symbol and parameters.

        Raises ValueError as read_network() does.
        """
        graph = without_casts(embedding_part(parse_graph(symbol.tojson(), "the symbol")))
        return _network(graph, arg_params, aux_params)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what the network computes, 64 hexadecimal digits.

        It covers the operators, their names, attributes and links, the outputs, and name, shape,
        type and bytes of every parameter.  A training checkpoint and its slim copy have the same
        one; a changed option or bit of a weight gives another.
        """
        digest = hashlib.sha256(_canonical(self.graph).encode())
        for name in sorted(self.parameters):
            value = self.parameters[name]
            digest.update(f"\n{json.dumps(name)} {value.dtype.name} {value.shape}\n".encode())
            digest.update(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).data)
        return digest.hexdigest()


def read_network(checkpoint: str) -> StoredNetwork:
    """Return the network of "prefix,number" that ends in the embedding, without its classifier.

    Raises ValueError if the text or a file is malformed, the symbol has no embedding or
    parameters are missing; FileNotFoundError with the path and the numbers that exist if a file
    is missing.
    """
    graph, arg_params, aux_params = _read(checkpoint)
    unread = (arg_params.keys() | aux_params.keys()) - set(graph.variables())
    strangers = sorted(name for name in unread if not name.startswith(TRAINING_PREFIXES))
    if strangers:
        _warn_once(checkpoint, len(strangers), strangers[0])
    return _network(without_casts(embedding_part(graph)), arg_params, aux_params)


def read_whole(checkpoint: str) -> StoredNetwork:
    """Return the network of "prefix,number" with all its outputs, such as a detector's.

    Its labels, which only training reads, are left out.  Raises what read_network() does.
    """
    graph, arg_params, aux_params = _read(checkpoint)
    return _network(without_casts(without_labels(graph)), arg_params, aux_params)


def computes_the_same(one: Graph, other: Graph) -> bool:
    """Return whether two graphs give the same from the same parameters, however they were saved.

    Names of operators do not count: MXNet numbers those that were given none.
    """
    return _canonical(one, _parameter_name) == _canonical(other, _parameter_name)


def _parameter_name(node: Node) -> str:
    return node.name if node.is_variable else ""


def checkpoint_fingerprint(checkpoint: str) -> str:
    """Return the fingerprint of read_network().  Raises what it does."""
    return read_network(checkpoint).fingerprint


def model_fingerprint(model: str) -> str:
    """Return the fingerprint of a checkpoint "prefix,number", or the SHA-256 of an ONNX file.

    Raises FileNotFoundError or ValueError as read_network() does.
    """
    if not model.endswith(".onnx"):
        return checkpoint_fingerprint(model)
    if not Path(model).is_file():
        raise FileNotFoundError(f"model {model!r}: no file {Path(model).absolute()}")
    return file_fingerprint(model)


def file_fingerprint(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open_file(path, "file") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _read(checkpoint: str) -> tuple[Graph, dict[str, np.ndarray], dict[str, np.ndarray]]:
    path = existing_params(checkpoint)
    symbol = symbol_path(split_checkpoint(checkpoint)[0])
    with reading_set(symbol, path):
        return read_graph(symbol), *split_params(read_params(path))


@functools.cache
def _warn_once(checkpoint: str, count: int, name: str) -> None:
    logger.warning(
        "checkpoint %r: its symbol does not read %d of its parameters, such as %s: if the two "
        "belong to different networks, every embedding is wrong",
        checkpoint,
        count,
        name,
    )


def _network(
    graph: Graph, arg_params: Mapping[str, Any], aux_params: Mapping[str, Any]
) -> StoredNetwork:
    states = graph.states()
    wanted = {
        name: aux_params if name in states else arg_params
        for name in graph.variables()
        if name != DATA
    }
    if missing := [name for name, kind in wanted.items() if name not in kind]:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ValueError(
            f"{graph.source}: the parameters lack {', '.join(missing[:5])}{more}, which the symbol "
            "reads: the symbol and the parameters belong to different networks"
        )
    return StoredNetwork(
        graph, {name: _single(graph, name, kind[name]) for name, kind in wanted.items()}
    )


def _single(graph: Graph, name: str, array: Any) -> np.ndarray:
    """Return a parameter in float32."""
    value = array.asnumpy() if hasattr(array, "asnumpy") else np.asarray(array)
    if value.dtype.kind != "f":
        raise ValueError(
            f"{graph.source}: parameter {name} is {value.dtype.name} in the file of parameters; a "
            "network's are floats: damaged, or quantised by another program"
        )
    return value.astype(np.float32, copy=False)


def _canonical(graph: Graph, name: Callable[[Node], str] = operator.attrgetter("name")) -> str:
    """Return a graph as text that is the same for equal networks, however they were saved.

    name: what of a node's name counts.
    """
    graph = graph.ending_in(graph.outputs)
    nodes = []
    for node in graph.nodes:
        options = {} if node.is_variable else node.attributes  # a variable's are for training
        kept = {
            key: value
            for key, value in sorted(options.items())
            if not key.startswith("__") and key not in HARMLESS
        }
        nodes.append([node.operator, name(node), kept, node.inputs])
    return json.dumps([nodes, graph.outputs])

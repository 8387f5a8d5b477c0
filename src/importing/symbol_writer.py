"""A symbol while it is being written from a network of others: nodes, parameters, their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import re
from typing import Any

import numpy as np

from ..checkpoints.network import CLASSIFIER_PREFIX, DATA, StoredNetwork
from ..checkpoints.nodes import VARIABLE, Entry, Graph, Node
from ..checkpoints.parts import EMBEDDING_OUTPUT

EMBEDDING = EMBEDDING_OUTPUT.removesuffix("_output")
MXNET_VERSION = 10901
# Ends of names by which MXNet initialises a parameter and decides its weight decay.
ROLES = ("weight", "bias", "gamma", "beta", "moving_mean", "moving_var")
# How MXNet begins what its initializers do not know by name, as its own symbols say it.
STARTS = {"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'}
LONGEST_NAME = 120  # characters
USABLE = re.compile(f"[!-~]{{1,{LONGEST_NAME}}}")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Affine:
    """Pixels that were only scaled: factor * raw + shift, each (C,) or a number, C as they come."""

    factor: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Tensor:
    """A tensor of the foreign network.

    shapes: for each of the probes, which differ in the number of images.  entry: what computes it
    here, None for a constant.  values: of a constant, for each probe.  source: the name of the
    stored weight that it is.  pixels: set while it is the image, only scaled.
    """

    shapes: tuple[Shape, ...]
    entry: Entry | None = None
    values: tuple[np.ndarray, ...] | None = None
    source: str = ""
    pixels: Affine | None = None

    @classmethod
    def constant(cls, values: Sequence[np.ndarray], source: str = "") -> Tensor:
        return cls(tuple(value.shape for value in values), values=tuple(values), source=source)

    @property
    def value(self) -> np.ndarray | None:
        """The values of a constant that is the same for any number of images, else None."""
        first, *others = self.values or [None]
        is_same = all(other is first or np.array_equal(other, first) for other in others)
        return first if is_same else None

    @property
    def rank(self) -> int:
        return len(self.shapes[0])

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape, None where it is the number of images."""
        return tuple(s[0] if len(set(s)) == 1 else None for s in zip(*self.shapes, strict=True))

    @property
    def has_images_first(self) -> bool:
        """Whether the first axis alone is that of the images."""
        return bool(self.rank) and self.shape[0] is None and None not in self.shape[1:]


class SymbolWriter:
    """Collects nodes and parameters.  The input "data" is there from the start."""

    def __init__(self, source: str):
        self._source = source
        self._nodes: list[Node] = [Node(VARIABLE, DATA, {})]
        self._parameters: dict[str, np.ndarray] = {}
        self._names = {DATA}
        self._shared: dict[tuple[str, str], Entry] = {}  # a stored weight that several layers read

    @property
    def data(self) -> Entry:
        return Entry(0, 0)

    def add(self, operator: str, name: str, inputs: Sequence[Entry], **options: Any) -> Entry:
        """Append a node; options as MXNet's Python functions take them.  Return output 0."""
        texts = {key: str(value) for key, value in options.items()}
        self._nodes.append(Node(operator, self.free(name), texts, tuple(inputs)))
        return Entry(len(self._nodes) - 1, 0)

    def node(self, entry: Entry) -> Node:
        return self._nodes[entry.node]

    def parameter(
        self,
        layer: str,
        role: str,
        value: np.ndarray,
        stored: str = "",
        *,
        start: str = "",
        shape: Shape = (),
    ) -> Entry:
        """Return a parameter of a layer.

        role: of ROLES.  stored: its name in the file, which it keeps if MXNet takes it for the same
        role; read twice in one form it is one parameter.  start: MXNet's initializer, as JSON, for
        who trains the symbol from the beginning.  shape: where its layer does not tell it.
        """
        value = np.ascontiguousarray(value, np.float32)
        known = self._shared.get((stored, role)) if stored else None
        if known is not None and np.array_equal(self._parameters[self.node(known).name], value):
            return known  # of the same shape too
        keeps = USABLE.fullmatch(stored) and stored.endswith(f"_{role}")
        name = stored if keeps and stored not in self._names else f"{layer}_{role}"
        if name in self._names:
            name = f"{self.free(layer)}_{role}"
        self._names.add(name)
        self._parameters[name] = value
        start = start or STARTS.get(role, "")
        texts = {"__init__": start} if start else {}
        self._nodes.append(
            Node(VARIABLE, name, texts | ({"__shape__": str(shape)} if shape else {}))
        )
        entry = Entry(len(self._nodes) - 1, 0)
        if stored:
            self._shared[stored, role] = entry
        return entry

    def free(self, name: str) -> str:
        """Return a name for a node that no other has, and take it."""
        wanted = plain(name)
        if wanted.startswith(CLASSIFIER_PREFIX):
            wanted = f"layer_{wanted}"  # such names are a classifier's
        number, free = 1, wanted
        while free in self._names:
            number, free = number + 1, f"{wanted}_{number}"
        self._names.add(free)
        return free

    def network(self, output: Entry) -> StoredNetwork:
        """Return the network that ends in an output, which becomes "fc1"."""
        nodes = [
            replace(node, name="") if node.name == EMBEDDING and not node.is_variable else node
            for node in self._nodes
        ]
        nodes[output.node] = replace(nodes[output.node], name=EMBEDDING)
        nodes = [node if node.name else replace(node, name="fc1_of_file") for node in nodes]
        graph = Graph(tuple(nodes), (output,), MXNET_VERSION, self._source).ending_in([output])
        read = set(graph.variables())
        parameters = {name: v for name, v in self._parameters.items() if name in read}
        return StoredNetwork(graph, parameters)


def plain(name: str) -> str:
    """Return a name of letters, digits and "_" alone, such as others give with "/" and "."."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", name.removesuffix("_output")).strip("_")
    return name[-LONGEST_NAME:] or "layer"

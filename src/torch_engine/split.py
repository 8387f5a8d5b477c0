"""A loss over a slice of the identities, made of its own graph.

The classifier's weight is cut by rows.  From there it is followed which values have the identities
along an axis; whatever reads across that axis (the softmax, the own identity's cosine, the largest)
becomes an operator of sliced.py, which completes it over the processes, and all else stays as it
is.  So no loss is written twice, and one that reads across the identities in another way, or keeps
a state of each, is refused by the name of its node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..checkpoints.nodes import VARIABLE, Entry, Graph, Node
from ..checkpoints.parts import EMBEDDING_OUTPUT, embedding_part
from .arithmetic import ELEMWISE, OF_ONE, OF_TWO, WITH_SCALAR
from .graph import network_variables

SLICED = "sliced:"  # what stands before the name of an operator of sliced.py
LABEL = "softmax_label"
CLASSIFIER_PREFIX = "fc7"  # of the published names of its weight and bias
KEEPS = frozenset({*OF_ONE, *WITH_SCALAR, "clip"})
TOGETHER = frozenset(
    {f"elemwise_{name}" if name in ELEMWISE else f"_{name}" for name in OF_TWO}
    | {f"broadcast_{name}" for name in OF_TWO}
    | {"where", "add_n"}
)
REDUCTIONS = frozenset({"sum", "mean", "max", "min", "norm"})


@dataclass(frozen=True)
class Split:
    """The axis of a value that has the identities, of `rank` axes; `rows` entries for each."""

    axis: int
    rank: int
    rows: int = 1


@dataclass(frozen=True)
class SplitLoss:
    """A loss's graph, whose variable fc1_output is the embedding.

    weights: the classifier's parameters, all cut by rows, and how many rows an identity has in
    them.  inputs: what else it reads of the batch.  states: its running values, each (1, 1).
    sampling: why it cannot be computed from a sample of the identities, "" where it can.
    """

    graph: Graph
    weights: dict[str, int]
    inputs: list[str]
    states: list[str]
    sampling: str


def split_loss(graph: Graph, identities: int, inputs: frozenset[str]) -> SplitLoss:
    """Return the loss of a training graph, to be computed slice by slice.

    inputs: names of what a batch feeds.  Raises ValueError that says why it cannot be.
    """
    return _Splitting(_loss_part(graph, inputs), identities, inputs).result()


def _loss_part(graph: Graph, inputs: frozenset[str]) -> Graph:
    """Return what lies behind the embedding, which becomes a variable."""
    embedding_part(graph)  # raises ValueError for none, and for several
    nodes = list(graph.nodes)
    found = next(
        number
        for number, node in enumerate(nodes)
        if not node.is_variable and node.output_name(0) == EMBEDDING_OUTPUT
    )
    nodes[found] = Node(VARIABLE, EMBEDDING_OUTPUT, {})
    part = replace(graph, nodes=tuple(nodes)).ending_in(graph.outputs)
    shared = (network_variables(graph) & set(part.variables())) - {LABEL}
    if shared:
        raise ValueError(
            f"reads {', '.join(sorted(shared))} of the network beside its embedding, which other "
            "processes do not have"
        )
    return part


class _Splitting:
    """One walk through a loss."""

    def __init__(self, graph: Graph, identities: int, inputs: frozenset[str]):
        self._graph, self._identities = graph, identities
        self._inputs = inputs
        self._splits: dict[Entry, Split] = {}
        self._weights: dict[str, int] = {}
        self._largest: set[int] = set()  # nodes made of the largest over the identities
        self._constant: set[int] = set()  # nodes made of no variable
        self._softmax: set[int] = set()  # nodes that give their normaliser in place of all values
        self._sampling: list[str] = []

    def result(self) -> SplitLoss:
        self._find_weights()
        if not self._weights:
            raise ValueError("has no classifier: it compares the embeddings of a batch")
        nodes = tuple(self._node(number, node) for number, node in enumerate(self._graph.nodes))
        for entry in self._graph.outputs:
            if entry in self._splits:
                name = self._graph.nodes[entry.node].output_name(entry.output)
                raise ValueError(f"gives {name}, a value for every identity")
        known = {EMBEDDING_OUTPUT, *self._weights, *self._inputs}
        states = [name for name in self._graph.variables() if name in self._graph.states()]
        read = self._graph.variables()
        if others := [name for name in read if name not in known and name not in states]:
            raise ValueError(f"has a parameter of its own, {others[0]}, which no slice is")
        return SplitLoss(
            replace(self._graph, nodes=nodes),
            self._weights,
            [name for name in read if name in self._inputs],
            states,
            "; ".join(dict.fromkeys(self._sampling)),
        )

    def _find_weights(self) -> None:
        """Find the dense layers of a multiple of the identities, and cut what they read."""
        states = self._graph.states()
        for node in self._graph.nodes:
            rows = node.get("num_hidden", 0) if node.operator == "FullyConnected" else 0
            if not rows or rows % self._identities:
                continue
            for number, entry in enumerate(node.inputs[1:]):
                split = Split(0, 1 if number else 2, rows // self._identities)
                source = self._variable_of(entry)
                name = "" if source is None else self._graph.nodes[source].name
                if name.startswith(CLASSIFIER_PREFIX):
                    self._splits[Entry(source, 0)] = split
                    self._weights[name] = split.rows
        for node in self._graph.nodes:
            if node.is_variable and node.name in states:
                shape = node.get("__shape__", ())
                if shape and shape[0] != 1:
                    raise ValueError(
                        f"keeps a state of every identity, {node.name}, which each process has "
                        "for itself; slices would make it no smaller"
                    )

    def _variable_of(self, entry: Entry) -> int | None:
        """Return the variable that a dense layer's weight is made of, value by value or by rows."""
        node = self._graph.nodes[entry.node]
        while not node.is_variable:
            if node.operator not in KEEPS | {"L2Normalization"}:
                return None
            entry = node.inputs[0]
            node = self._graph.nodes[entry.node]
        return entry.node

    def _node(self, number: int, node: Node) -> Node:
        """Return the node as it is computed on a slice; its output's split is noted."""
        if node.is_variable:
            return node
        given = [self._splits.get(entry) for entry in node.inputs]
        if any(entry.node in self._softmax for entry in node.inputs):
            raise ValueError(
                f"{node.operator} {node.name!r} reads probabilities, of which no process has all"
            )
        if all(entry.node in self._constant for entry in node.inputs):
            self._constant.add(number)  # losses ask a Dropout of ones whether they are in training
        elif node.operator == "Dropout" and node.get("p", 0.5):
            raise ValueError(
                f"Dropout {node.name!r} behind the embedding would be another one on each process"
            )
        if any(entry.node in self._largest for entry in node.inputs):
            self._largest.add(number)
        if node.operator in RULES:
            return RULES[node.operator](self, number, node, given)
        if not any(given):
            return node
        if node.operator in KEEPS:
            return self._noted(number, node, given[0])
        if node.operator in TOGETHER:
            kinds = {split for split in given if split}
            if len(kinds) == 1:
                node = self._with_own_change(node)
                return self._noted(number, node, kinds.pop())
        if node.operator in REDUCTIONS:
            return self._reduction(number, node, given[0])
        raise self._refusal(node)

    def _with_own_change(self, node: Node) -> Node:
        """Return values + one_hot * change, which most losses have, without a one_hot in memory."""
        if node.operator != "elemwise_add":
            return node
        added = self._graph.nodes[node.inputs[1].node]
        if added.operator != "broadcast_mul" or self._splits.get(added.inputs[1]):
            return node
        own = self._graph.nodes[added.inputs[0].node]
        if own.operator != "one_hot" or added.inputs[0] not in self._splits:
            return node
        inputs = (node.inputs[0], own.inputs[0], added.inputs[1])
        return replace(node, operator=SLICED + "add_own", inputs=inputs)

    def _noted(self, number: int, node: Node, split: Split | None) -> Node:
        if split:
            self._splits[Entry(number, 0)] = split
        return node

    def _refusal(self, node: Node) -> ValueError:
        return ValueError(
            f"{node.operator} {node.name!r} reads across the identities in a way that no slice can"
        )

    def _fully_connected(self, number: int, node: Node, given: list[Split | None]) -> Node:
        if not any(given):
            return node
        weight = given[1]
        if given[0] or not weight or weight.axis or len({s.rows for s in given if s}) > 1:
            raise self._refusal(node)
        return self._noted(
            number, replace(node, operator=SLICED + node.operator), Split(1, 2, weight.rows)
        )

    def _expand_dims(self, number: int, node: Node, given: list[Split | None]) -> Node:
        split = given[0]
        if not split:
            return node
        axis = node.get("axis", 0) % (split.rank + 1)
        moved = split.axis + (axis <= split.axis)
        return self._noted(number, node, Split(moved, split.rank + 1, split.rows))

    def _reshape(self, number: int, node: Node, given: list[Split | None]) -> Node:
        """(N, C * K) -> (N, C, K) alone."""
        split = given[0]
        if not split:
            return node
        wanted = (0, self._identities, split.rows)
        if node.get("shape", ()) != wanted or (split.axis, split.rank) != (1, 2):
            raise self._refusal(node)
        texts = node.texts | {"shape": f"(0, -1, {split.rows})"}
        return self._noted(number, replace(node, texts=texts), Split(1, 3))

    def _l2_normalization(self, number: int, node: Node, given: list[Split | None]) -> Node:
        if given[0] and (given[0].axis or node.get("mode", "instance") != "instance"):
            raise self._refusal(node)
        return self._noted(number, node, given[0])

    def _reduction(self, number: int, node: Node, split: Split) -> Node:
        axes = node.get("axis", ())
        axes = {a % split.rank for a in (axes if isinstance(axes, tuple) else (axes,))}
        if node.get("exclude", False):
            raise self._refusal(node)
        if axes and split.axis not in axes:
            source = self._graph.nodes[node.inputs[0].node]
            if (node.operator, source.operator, split.axis, axes) == ("sum", "square", 0, {1}):
                node = replace(node, operator=SLICED + "row_squares", inputs=source.inputs)
            if node.get("keepdims", False):
                return self._noted(number, node, split)
            left = split.axis - sum(axis < split.axis for axis in axes)
            return self._noted(number, node, Split(left, split.rank - len(axes), split.rows))
        if node.operator not in ("sum", "mean") or axes != {split.axis}:
            raise self._refusal(node)
        self._sampling.append(f"{node.name!r} is a {node.operator} over all identities")
        texts = node.texts | {"rows": str(self._identities * split.rows)}
        return replace(node, operator=SLICED + node.operator, texts=texts)

    def _across(self, number: int, node: Node, split: Split | None, axis: int) -> Node:
        """Return the sliced operator that reads across the identities on this axis."""
        if not split:
            return node
        if axis % split.rank != split.axis or split.rows != 1:
            raise self._refusal(node)
        return replace(node, operator=SLICED + node.operator)

    def _pick(self, number: int, node: Node, given: list[Split | None]) -> Node:
        if given[1]:
            raise self._refusal(node)
        return self._across(number, node, given[0], node.get("axis", -1))

    def _take(self, number: int, node: Node, given: list[Split | None]) -> Node:
        if given[1]:
            raise self._refusal(node)
        return self._across(number, node, given[0], node.get("axis", 0))

    def _argmax(self, number: int, node: Node, given: list[Split | None]) -> Node:
        if given[0]:
            self._largest.add(number)
        return self._across(number, node, given[0], node.get("axis", 0))

    def _log_softmax(self, number: int, node: Node, given: list[Split | None]) -> Node:
        made = self._across(number, node, given[0], node.get("axis", -1))
        return self._noted(number, made, given[0])

    def _softmax_output(self, number: int, node: Node, given: list[Split | None]) -> Node:
        if given[1]:
            raise self._refusal(node)
        if given[0]:
            self._softmax.add(number)
        return self._across(number, node, given[0], 1)

    def _one_hot(self, number: int, node: Node, given: list[Split | None]) -> Node:
        if given[0]:
            raise self._refusal(node)
        if node.get("depth", 0) != self._identities:
            return node
        return self._noted(number, replace(node, operator=SLICED + "one_hot"), Split(1, 2))

    def _make_loss(self, number: int, node: Node, given: list[Split | None]) -> Node:
        """One that all processes have counts on one of them."""
        if given[0]:
            raise self._refusal(node)
        if number in self._largest:
            self._sampling.append(f"{node.name!r} asks which of all identities is nearest")
        return replace(node, operator=SLICED + "MakeLoss")


RULES: dict[str, Callable[..., Node]] = {
    "FullyConnected": _Splitting._fully_connected,
    "expand_dims": _Splitting._expand_dims,
    "Reshape": _Splitting._reshape,
    "L2Normalization": _Splitting._l2_normalization,
    "pick": _Splitting._pick,
    "take": _Splitting._take,
    "argmax": _Splitting._argmax,
    "log_softmax": _Splitting._log_softmax,
    "SoftmaxOutput": _Splitting._softmax_output,
    "one_hot": _Splitting._one_hot,
    "MakeLoss": _Splitting._make_loss,
}

"""Read and rewrite the graph of a symbol, node by node.

A symbol's JSON lists its nodes in topological order: {"op", "name", "attrs", "inputs"}; an
input or head is an entry [node, output, version].  Variables have op "null".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import json
from typing import Any

import mxnet as mx

# MXNET_EXEC_INPLACE_GRAD_SUM_CAP: gradients of so many uses are added one by one, in place.
SUMMED_AT_ONCE = 8

Node = dict[str, Any]
Entry = list[int]


class Rewriter:
    """Copies a graph; a rule may put other nodes in the place of one.

    rule(rewriter, node, inputs) gets a node of the old graph with the entries of its inputs
    in the new one.  It returns the new entry of the node's output 0, or None to have the
    node copied as it is.  accumulates: whether executors add to the gradients of variables.
    """

    def __init__(self, symbol: mx.sym.Symbol, accumulates: bool = True):
        self._graph = json.loads(symbol.tojson())
        self.old: list[Node] = self._graph["nodes"]
        self.new: list[Node] = []
        self._accumulates = accumulates
        self.head_nodes = [head[0] for head in self._graph["heads"]]
        self._entries: list[Entry] = []  # of output 0 of every old node
        self._uses = Counter(tuple(entry[:2]) for node in self.old for entry in node["inputs"])

    @property
    def num_passed(self) -> int:
        """How many nodes of the old graph have been passed: the number of the one at hand."""
        return len(self._entries)

    def add(self, op: str, name: str, inputs: list[Entry], attrs: dict[str, str]) -> Entry:
        """Append a node; return the entry of its output 0."""
        return self._append({"op": op, "name": name, "attrs": attrs, "inputs": inputs})

    def may_add_gradients(self, entry: Entry) -> bool:
        """Tell whether a user of this entry of the old graph may be asked to add to a gradient.

        That happens to variables bound with grad_req "add" and to entries of many users.
        """
        is_variable = self.old[entry[0]]["op"] == "null"
        added_up = self._uses[tuple(entry[:2])] >= SUMMED_AT_ONCE
        return added_up or (is_variable and self._accumulates)

    def run(self, rule: Callable[[Rewriter, Node, list[Entry]], Entry | None]) -> mx.sym.Symbol:
        """Return the symbol of the rewritten graph."""
        for node in self.old:
            inputs = [self.entry(entry) for entry in node["inputs"]]
            entry = rule(self, node, inputs)
            if entry is None:
                copy = dict(node, inputs=inputs)
                if "control_deps" in node:
                    copy["control_deps"] = [self._entries[i][0] for i in node["control_deps"]]
                entry = self._append(copy)
            self._entries.append(entry)
        graph = {
            "nodes": self.new,
            "arg_nodes": [i for i, node in enumerate(self.new) if node["op"] == "null"],
            "heads": [self.entry(head) for head in self._graph["heads"]],
            "attrs": self._graph["attrs"],
        }
        return mx.sym.load_json(json.dumps(graph))

    def entry(self, old: Entry) -> Entry:
        """Return the new entry of one of the old graph that has been passed."""
        node, output, version = old
        start = self._entries[node]
        return [start[0], start[1] + output, version]

    def set_ranks(self, entries: list[Entry], rank: int) -> None:
        """Say how many dimensions these entries have where they are variables without a shape.

        MXNet 1.9.1 makes room for the shapes of an extension's inputs from their ranks, counts
        -1 where one is unknown, and then writes past the end.
        """
        for entry in entries:
            node = self.new[entry[0]]
            if node["op"] == "null":
                unknown = "(" + "0," * rank + ")"
                node["attrs"] = {"__shape__": unknown} | attrs_of(node)

    def _append(self, node: Node) -> Entry:
        self.new.append(node)
        return [len(self.new) - 1, 0, 0]


def own_gradient(
    rewriter: Rewriter, node: Node, inputs: list[Entry], num_states: int = 0
) -> list[Entry]:
    """Return the inputs of one of our operators, those times 1 whose gradients others add to.

    MXNet 1.9.1 does not tell the operators of an extension when a gradient is to be added to
    what is there.  A _copy would be optimised away, and equal nodes be merged into one: the
    attribute keeps these apart.  The last num_states inputs are auxiliary states.
    """
    entries = list(inputs)
    for i in range(len(inputs) - num_states):
        if rewriter.may_add_gradients(node["inputs"][i]):
            name = f"{node['name']}_in{i}"
            attrs = {"scalar": "1", "__name__": name}
            entries[i] = rewriter.add("_mul_scalar", name, [inputs[i]], attrs)
    return entries


def is_prelu(node: Node) -> bool:
    return node["op"] == "LeakyReLU" and attrs_of(node).get("act_type") == "prelu"


def attrs_of(node: Node) -> dict[str, str]:
    """Return the attributes of a node; nodes without any have no such key."""
    return node.get("attrs", {})


def user_attrs(node: Node) -> dict[str, str]:
    """Return the attributes that are not parameters of the operator, like __lr_mult__."""
    return {key: value for key, value in attrs_of(node).items() if key.startswith("__")}

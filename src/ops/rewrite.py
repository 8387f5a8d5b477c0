"""Read the graph of a symbol, and write it anew with other operators in the place of some.

A symbol's JSON lists its nodes in topological order: {"op", "name", "attrs", "inputs"}; an
input or head is an entry [node, output, version].  Variables have op "null".

A rule reads a Graph and yields Claims: nodes, and what to build in their place.  rewrite() alone
makes a new graph of them, so what it refuses no rule can do: claim a node that another has,
lose a value that somebody reads, or change arguments, states, outputs or a shape of theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
import json
import re
from typing import Any

import mxnet as mx

# MXNET_EXEC_INPLACE_GRAD_SUM_CAP: gradients of so many uses are added one by one, in place.  Our
# operators are not told, and oneDNN's give wrong gradients: no entry is used so often.
SUMMED_AT_ONCE = 8
HEAD = -1  # in the place of a reader's number: the value is an output of the graph

Node = dict[str, Any]
Entry = list[int]
Shapes = Mapping[str, tuple[int, ...]]


class Graph:
    """A symbol's nodes, who reads them, and the shape of every entry.

    shapes: of its inputs, such as {"data": (128, 3, 112, 112)}.  accumulates: whether executors
    may add to the gradients of variables.  Raises ValueError where the graph does not take
    these shapes, or where they leave others unknown.
    """

    def __init__(self, symbol: mx.sym.Symbol, shapes: Shapes, accumulates: bool = True):
        self.symbol, self.shapes, self.accumulates = symbol, dict(shapes), accumulates
        graph = json.loads(symbol.tojson())
        self.nodes: list[Node] = graph["nodes"]
        self.heads: list[Entry] = graph["heads"]
        self.attrs = graph["attrs"]
        self.states = set(symbol.list_auxiliary_states())
        self._readers: dict[int, list[tuple[int, int]]] = {}  # node: (output, reader)
        for number, node in [*enumerate(self.nodes), (HEAD, {"inputs": self.heads})]:
            for source, output, *_ in node["inputs"]:
                self._readers.setdefault(source, []).append((output, number))
        self._infer()

    def _infer(self) -> None:
        internals = self.symbol.get_internals()
        try:
            arguments, outputs, states = internals.infer_shape_partial(**self.shapes)
        except mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"the graph does not take inputs of {self.shapes}: {reason}") from None
        named = zip(internals.list_outputs(), outputs, strict=True)
        unknown = [name for name, shape in named if not shape or 0 in shape]
        if unknown:
            raise ValueError(
                f"inputs of {self.shapes} leave shapes of the graph unknown, first that of "
                f"{unknown[0]}: give the shapes of all its inputs"
            )
        entries = json.loads(internals.tojson())["heads"]  # its nodes are numbered like ours
        self._shapes = dict(zip(map(_key, entries), outputs, strict=True))
        heads = [self.shape(entry) for entry in self.heads]
        self.interface = {
            "argument": list(zip(self.symbol.list_arguments(), arguments, strict=True)),
            "auxiliary state": list(zip(self.symbol.list_auxiliary_states(), states, strict=True)),
            "output": list(zip(self.symbol.list_outputs(), heads, strict=True)),
        }

    def shape(self, entry: Entry) -> tuple[int, ...]:
        return self._shapes[_key(entry)]

    def source(self, node: Node) -> Node:
        """Return the node that makes a node's first input."""
        return self.nodes[node["inputs"][0][0]]

    def readers(self, number: int) -> list[int]:
        """Return the numbers of the nodes that read a node, once for each use; HEAD for outputs."""
        return [reader for _, reader in self._readers.get(number, [])]

    def read_outputs(self, number: int) -> set[int]:
        """Return which outputs of a node are read."""
        return {output for output, _ in self._readers.get(number, [])}

    def is_head(self, number: int) -> bool:
        return HEAD in self.readers(number)

    def are_variables(self, entries: Iterable[Entry]) -> bool:
        return all(self.nodes[entry[0]]["op"] == "null" for entry in entries)


@dataclass(frozen=True)
class Claim:
    """Nodes of a graph, by number in its order, and what becomes of them.

    build(rewriter) appends to the new graph and returns the entry there of the last node's
    output 0.  Nobody else reads the others.
    """

    nodes: tuple[int, ...]
    build: Callable[[Rewriter], Entry]


class Rewriter:
    """The new graph while it grows."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.nodes: list[Node] = []
        self._entries: dict[int, Entry] = {}  # of output 0, by the number in the old graph
        self._heads = Counter(map(_key, graph.heads))
        self._handed_on: dict[tuple[int, int], tuple[Entry, int]] = {}  # and uses

    def add(self, op: str, name: str, inputs: list[Entry], attrs: dict[str, str]) -> Entry:
        """Append a node; return the entry of its output 0."""
        return self._append({"op": op, "name": name, "attrs": attrs, "inputs": inputs})

    def entry(self, old: Entry, uses: int = 1) -> Entry:
        """Return the new entry of one of the old graph, to be used so often.

        When there are too many uses, the next are those of a product with 1; a _copy would be
        optimised away.
        """
        name, key = self.graph.nodes[old[0]]["name"], _key(old)
        if name in self.graph.states:
            return self._plain_entry(old)
        entry, used = self._handed_on.get(key) or (self._plain_entry(old), self._heads[key])
        if used + uses >= SUMMED_AT_ONCE - 1:  # the product is a use, too
            entry = self.add("_mul_scalar", f"{name}_more", [entry], {"scalar": "1"})
            used = 0
        self._handed_on[key] = entry, used + uses
        return entry

    def _plain_entry(self, old: Entry) -> Entry:
        number, output, *version = old
        start = self._entries[number]
        return [start[0], start[1] + output, *version]

    def set_shape(self, old: Entry, shape: tuple[int, ...]) -> None:
        """Give a variable a shape, 0 where a size is open; one of as many sizes stays."""
        node = self.nodes[self._entries[old[0]][0]]
        given = re.findall(r"\d+", attrs_of(node).get("__shape__", ""))
        if node["op"] == "null" and (len(given) != len(shape) or 0 not in shape):
            sizes = "".join(f"{size}," for size in shape)
            node["attrs"] = attrs_of(node) | {"__shape__": f"({sizes})"}

    def copy(self, number: int) -> None:
        node = self.graph.nodes[number]
        copied = dict(node, inputs=[self.entry(entry) for entry in node["inputs"]])
        if "control_deps" in node:
            copied["control_deps"] = [self._entries[i][0] for i in node["control_deps"]]
        self._entries[number] = self._append(copied)

    def build(self, claim: Claim) -> None:
        self._entries[claim.nodes[-1]] = claim.build(self)

    def symbol(self) -> mx.sym.Symbol:
        graph = {
            "nodes": self.nodes,
            "arg_nodes": [i for i, node in enumerate(self.nodes) if node["op"] == "null"],
            "heads": [self._plain_entry(head) for head in self.graph.heads],
            "attrs": self.graph.attrs,
        }
        return mx.sym.load_json(json.dumps(graph))

    def _append(self, node: Node) -> Entry:
        # MXNet 1.9.1 makes one node of equal ones, which adds up their uses, and fails with some
        # of them (node2index_): all are made to differ.
        if node["op"] != "null":
            node["attrs"] = attrs_of(node) | {"__node__": str(len(self.nodes))}
        self.nodes.append(node)
        return [len(self.nodes) - 1, 0, 0]


def rewrite(graph: Graph, **rules: Iterable[Claim]) -> Graph:
    """Return the graph with what the claims of all rules build, itself where there are none.

    Raises RuntimeError, which is a fault of a rule, if a node is claimed twice, if somebody
    outside of a claim reads what it swallows, or if the new graph is not bound like the old one.
    """
    by_last: dict[int, Claim] = {}
    owners: dict[int, str] = {}
    for rule, claims in rules.items():
        for claim in claims:
            _take(graph, rule, claim, owners)
            by_last[claim.nodes[-1]] = claim
    if not by_last:
        return graph
    rewriter = Rewriter(graph)
    for number in range(len(graph.nodes)):
        if number in by_last:
            rewriter.build(by_last[number])
        elif number not in owners:
            rewriter.copy(number)
    names = ", ".join(rules)
    try:
        rewritten = Graph(rewriter.symbol(), graph.shapes, graph.accumulates)
    except ValueError as error:
        raise RuntimeError(f"rewritten by {names}: {error}") from None
    _assert_same_interface(graph, rewritten, names)
    return rewritten


def _take(graph: Graph, rule: str, claim: Claim, owners: dict[int, str]) -> None:
    """Enter a claim's nodes under the name of its rule."""
    for number in claim.nodes:
        name = graph.nodes[number]["name"]
        if number in owners:
            raise RuntimeError(f"claimed twice: {name} by {owners[number]} and {rule}")
        owners[number] = rule
        outside = set(graph.readers(number)) - set(claim.nodes)
        if number != claim.nodes[-1] and outside:
            raise RuntimeError(f"{rule} swallows {name}, which is read elsewhere")
        if not graph.read_outputs(number) <= {0}:
            raise RuntimeError(f"{rule} replaces {name}, of which more than output 0 is read")


def _assert_same_interface(old: Graph, new: Graph, rules: str) -> None:
    for kind, wanted in old.interface.items():
        found = new.interface[kind]
        if found == wanted:
            continue
        lost = [f"{name} {shape}" for name, shape in wanted if (name, shape) not in found]
        gained = [f"{name} {shape}" for name, shape in found if (name, shape) not in wanted]
        what = f"lacks {', '.join(lost) or 'none'} and has {', '.join(gained) or 'none'} instead"
        if not lost and not gained:
            what = f"has them in the order {', '.join(name for name, _ in found)}"
        raise RuntimeError(
            f"{kind}s of the graph that {rules} rewrote are not those of the published graph: it "
            f"{what}; kind='stock' binds the published one"
        )


def is_prelu(node: Node) -> bool:
    return node["op"] == "LeakyReLU" and attrs_of(node).get("act_type") == "prelu"


def attrs_of(node: Node) -> dict[str, str]:
    """Return the attributes of a node; nodes without any have no such key."""
    return node.get("attrs", {})


def user_attrs(node: Node) -> dict[str, str]:
    """Return the attributes that are not parameters of the operator, like __lr_mult__."""
    return {key: value for key, value in attrs_of(node).items() if key.startswith("__")}


def _key(entry: Entry) -> tuple[int, int]:
    return entry[0], entry[1]

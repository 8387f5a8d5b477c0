"""Read and write a symbol's JSON, `PREFIX-symbol.json`, without MXNet.

{"nodes": [{"op", "name", "inputs", "attrs"}], "arg_nodes": [], "node_row_ptr": [], "heads": [],
"attrs": {"mxnet_version": ["int", 10901]}}: nodes in order of evaluation, "op" "null" for a
variable, each input and head as [node, output, version].  Older files say "attr" or "param" for
a node's "attrs", leave out the version of an entry, node_row_ptr and mxnet_version.

Everything is checked before it is used: MXNet itself trusts the indices, and an output that does
not exist ends the process.  Source: nnvm's saveload_json.cc and MXNet's legacy_json_util.cc.
"""

from __future__ import annotations

from collections.abc import Iterable
import json
import os
from pathlib import Path
from typing import Any

from ..limits import read_limited, shown
from .aliases import CANONICAL
from .nodes import STATES, VARIABLE, Entry, Graph, Node
from .parts import embedding_part, without_casts, without_labels
from .ranges import MOST_OUTPUTS, fault_of

__all__ = [
    "Entry",
    "Graph",
    "Node",
    "embedding_part",
    "parse_graph",
    "read_graph",
    "to_json",
    "without_casts",
    "without_labels",
]

LARGEST_FILE = 1 << 24  # bytes; the symbol of a network of 100 layers has 200 KB
LONGEST_NAME = 1024  # characters
OLDEST_VERSION = 800  # of files that do not say
FLAT_UNTIL = 905  # before, the axis -1 of argmax and argmin meant all
STATES_LISTED_SINCE = 900  # before, BatchNorm's running statistics were not in the file
STATE_NAMES = ("moving_mean", "moving_var")
# Before MXNet 0.9 these stood in a node like options of its operator.
HIDDEN = ("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage")
NODE_FIELDS = frozenset(
    {"op", "name", "inputs", "attrs", "attr", "param", "control_deps", "backward_source_id"}
)
GRAPH_FIELDS = frozenset({"nodes", "arg_nodes", "node_row_ptr", "heads", "attrs"})


def read_graph(path: str | os.PathLike) -> Graph:
    """Return the graph of a symbol file.

    Raises FileNotFoundError, or ValueError that says what in the file is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no symbol file {path.absolute()} beside the parameters")
    return parse_graph(read_limited(path, LARGEST_FILE, "symbol"), str(path))


def parse_graph(text: str | bytes, source: str) -> Graph:
    """Return the graph of a symbol's JSON.  source: where it comes from, for messages."""
    try:
        return _Parser(_decoded(text), source).graph()
    except _Fault as fault:
        raise ValueError(f"{source}: not a symbol that MXNet can read: {fault}") from None


def to_json(graph: Graph) -> str:
    """Return the JSON of a graph, for mx.sym.load_json or a file."""
    nodes = [
        {
            "op": node.operator,
            "name": node.name,
            **({"attrs": node.texts} if node.texts else {}),
            "inputs": [
                [*entry, int(position in STATES.get(node.operator, ()))]  # which it changes
                for position, entry in enumerate(node.inputs)
            ],
        }
        for node in graph.nodes
    ]
    written = {
        "nodes": nodes,
        "arg_nodes": [i for i, node in enumerate(graph.nodes) if node.is_variable],
        "heads": [[*entry, 0] for entry in graph.outputs],
        "attrs": {"mxnet_version": ["int", graph.version]},
    }
    return json.dumps(written, indent=2)


class _Fault(Exception):
    """What is wrong, said by whoever finds it; parse_graph() says where."""


def _decoded(text: str | bytes) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise _Fault("its JSON is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise _Fault(f"its byte {error.start} is no UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _Fault(f"it is no JSON: {place}: {error.msg}") from None
    except ValueError as error:  # a number of thousands of digits
        raise _Fault(f"it is no JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Fault(f"an object names one of {', '.join(map(shown, list(found)[:5]))} twice")
    return found


class _Parser:
    def __init__(self, written: Any, source: str):
        self._graph = _fields(written, "the file", GRAPH_FIELDS, {"nodes", "arg_nodes", "heads"})
        self._source = source
        self._version = self._written_version()
        self._rows = self._graph.get("node_row_ptr")
        self._nodes: list[Node] = []  # as they will be in the graph
        self._places: list[int] = []  # of the file's nodes among them

    def graph(self) -> Graph:
        written = _list(self._graph["nodes"], "nodes")
        self._check_rows(len(written))
        for number, node in enumerate(written):
            self._add(number, node)
        for index in _list(self._graph["arg_nodes"], "arg_nodes"):
            if not (_is_index(index, len(written)) and self._node(index).is_variable):
                raise _Fault(f"arg_nodes holds {index!r}, which is no variable of the file")
        names: set[str] = set()
        for node in self._nodes:
            if node.is_variable and node.name in names:
                raise _Fault(f"two variables are called {node.name!r}")
            names |= {node.name} if node.is_variable else set()
        heads = _list(self._graph["heads"], "heads")
        if not heads:
            raise _Fault("it has no heads, so nothing comes out")
        outputs = tuple(self._entry(head, len(written), "a head") for head in heads)
        return Graph(tuple(self._nodes), outputs, self._version, self._source)

    def _add(self, number: int, written: Any) -> None:
        where = f"node {number}"
        fields = _fields(written, where, NODE_FIELDS, {"op", "name", "inputs"})
        operator, name = (_text(fields[key], f"{where}'s {key}") for key in ("op", "name"))
        if max(len(operator), len(name)) > LONGEST_NAME:
            raise _Fault(f"{where}'s name has more than {LONGEST_NAME} characters")
        where = f"node {number} ({operator} {name!r})"
        texts: dict[str, str] = {}
        for key in ("param", "attr", "attrs"):
            for attribute, text in _object_of_texts(fields.get(key, {}), f"{where}: {key}"):
                if texts.setdefault(_shown(attribute), text) != text:
                    raise _Fault(f"{where} says of {shown(attribute)} two things")
        is_of_all = operator in ("argmax", "argmin") and texts.get("axis") == "-1"
        if is_of_all and self._version < FLAT_UNTIL:
            del texts["axis"]
        if _list(fields.get("control_deps", []), f"{where}: control_deps"):
            raise _Fault(f"{where} waits for other nodes (control_deps), which no network does")
        inputs = [
            self._entry(entry, number, f"{where}: an input")
            for entry in _list(fields["inputs"], f"{where}: inputs")
        ]
        if operator == VARIABLE and inputs:
            raise _Fault(f"{where} is a variable and has inputs")
        if self._version < STATES_LISTED_SINCE and operator == "BatchNorm" and len(inputs) == 3:
            for state in STATE_NAMES:
                inputs.append(Entry(len(self._nodes), 0))
                self._nodes.append(Node(VARIABLE, f"{name}_{state}", {}))
        node = Node(CANONICAL.get(operator, operator), name, texts, tuple(inputs))
        if operator != VARIABLE and (fault := fault_of(node)):
            raise _Fault(f"{where}: {fault}")
        self._places.append(len(self._nodes))
        self._nodes.append(node)

    def _node(self, number: int) -> Node:
        return self._nodes[self._places[number]]

    def _entry(self, written: Any, limit: int, what: str) -> Entry:
        """Return [node, output] or [node, output, version] as an entry; node is below limit."""
        if not (
            isinstance(written, list)
            and len(written) in (2, 3)
            and all(_is_index(value, 1 << 31) for value in written)
        ):
            raise _Fault(f"{what} is not [node, output, version]")
        number, output = written[:2]
        if number >= limit:
            raise _Fault(f"{what} is node {number}, which is not among the {limit} before it")
        node = self._node(number)
        known = self._num_outputs(number, node)
        if output >= known:
            raise _Fault(f"{what} is output {output} of {node.name!r}, which has {known}")
        return Entry(self._places[number], output)

    def _num_outputs(self, number: int, node: Node) -> int:
        if node.is_variable:
            return 1
        if node.operator in ("SliceChannel", "amp_multicast"):
            return node.get("num_outputs", 1)
        if self._rows is not None:
            return self._rows[number + 1] - self._rows[number]
        return MOST_OUTPUTS  # what knows the operator knows better

    def _check_rows(self, num_nodes: int) -> None:
        """Check node_row_ptr: per node the number of all outputs before it."""
        if self._rows is None:
            return
        rows = _list(self._rows, "node_row_ptr")
        is_sound = len(rows) == num_nodes + 1 and all(_is_index(row, 1 << 31) for row in rows)
        if not is_sound or any(a > b for a, b in zip(rows, rows[1:], strict=False)):
            raise _Fault(f"node_row_ptr is not {num_nodes + 1} ascending numbers")

    def _written_version(self) -> int:
        attributes = self._graph.get("attrs", {})
        if not isinstance(attributes, dict):
            raise _Fault("attrs is not an object")
        if "mxnet_version" not in attributes:
            return OLDEST_VERSION
        version = attributes["mxnet_version"]
        if not (
            isinstance(version, list)
            and len(version) == 2
            and version[0] == "int"
            and _is_index(version[1], 1 << 31)
        ):
            raise _Fault('mxnet_version is not ["int", number]')
        return version[1]


def _fields(
    written: Any, what: str, known: frozenset[str], needed: Iterable[str]
) -> dict[str, Any]:
    if not isinstance(written, dict):
        raise _Fault(f"{what} is not an object")
    if missing := sorted(set(needed) - written.keys()):
        raise _Fault(f"{what} lacks {', '.join(missing)}")
    if others := sorted(written.keys() - known):
        raise _Fault(f"{what} has {', '.join(map(shown, others[:5]))}, which is not known")
    return written


def _list(written: Any, what: str) -> list[Any]:
    if not isinstance(written, list):
        raise _Fault(f"{what} is not a list")
    return written


def _text(written: Any, what: str) -> str:
    if not isinstance(written, str):
        raise _Fault(f"{what} is not text")
    try:
        written.encode("utf-8")
    except UnicodeEncodeError:
        raise _Fault(f"{what} is not Unicode text") from None
    return written


def _object_of_texts(written: Any, what: str) -> list[tuple[str, str]]:
    if not isinstance(written, dict):
        raise _Fault(f"{what} is not an object")
    return [(_text(key, what), _text(value, what)) for key, value in written.items()]


def _is_index(value: Any, limit: int) -> bool:
    return type(value) is int and 0 <= value < limit


def _shown(attribute: str) -> str:
    """Return an attribute's name as MXNet shows it since 0.9: what hides in "__" is no option."""
    hidden = any(attribute == key or attribute.endswith(f"_{key}") for key in HIDDEN)
    return f"__{attribute}__" if hidden else attribute

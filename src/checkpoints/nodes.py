"""A symbol as a graph: operators, what they read, and the attributes they carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
import re
from typing import Any, NamedTuple

VARIABLE = "null"  # the operator of parameters and of "data"
# Attributes that say how MXNet computes, not what.
HARMLESS = frozenset(
    {"workspace", "cudnn_tune", "cudnn_off", "cudnn_algo_verbose", "cudnn_algo_fwd"}
    | {"cudnn_algo_fwd_prec", "cudnn_algo_bwd_data", "cudnn_algo_bwd_data_prec"}
    | {"cudnn_algo_bwd_filter", "cudnn_algo_bwd_filter_prec", "cudnn_tensor_core_only"}
)
# Inputs of an operator that hold running statistics, which a parameter file calls "aux:".
STATES = {"BatchNorm": (3, 4), "sgd_mom_update": (2,)}

_NUMBER = re.compile(r"[+-]?(\d+|(\d+\.\d*|\.\d+)([eE][+-]?\d+)?|\d+[eE][+-]?\d+|inf|nan)")
_LONGEST_NUMBER = 400  # characters; the digits of the largest float64 are fewer
_WORDS = {"True": True, "true": True, "False": False, "false": False, "None": None}


class Entry(NamedTuple):
    """An output of a node of the same graph."""

    node: int
    output: int


@dataclass(frozen=True)
class Node:
    """One operator or variable.

    texts: the attributes as written, from which to_json() writes.  operator: its name in MXNet
    1.9.1, whatever older name the file has.
    """

    operator: str
    name: str
    texts: dict[str, str]
    inputs: tuple[Entry, ...] = ()

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The attributes as numbers, booleans, None, tuples of these, or text."""
        return {key: attribute_value(text) for key, text in self.texts.items()}

    @property
    def is_variable(self) -> bool:
        return self.operator == VARIABLE

    def get(self, attribute: str, default: Any) -> Any:
        """Return an attribute, or the operator's own default where the symbol leaves it out."""
        value = self.attributes.get(attribute)
        return default if value is None else value

    def output_name(self, output: int) -> str:
        """Return the name by which MXNet knows an output."""
        if self.is_variable:
            return self.name
        numbered = self.operator in ("SliceChannel", "amp_multicast")
        return f"{self.name}_output{output if numbered else ''}"


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can be evaluated, and the outputs of the whole.

    version: of the MXNet that wrote it, 10901 for 1.9.1.  source: where it was read, for messages.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Entry, ...]
    version: int
    source: str

    def output_names(self) -> list[str]:
        """Return MXNet's names of the outputs, such as "fc1_output"."""
        return [self.nodes[entry.node].output_name(entry.output) for entry in self.outputs]

    def variables(self) -> list[str]:
        """Return the names of all variables, "data" included."""
        return [node.name for node in self.nodes if node.is_variable]

    def states(self) -> set[str]:
        """Return the names of the variables that are running statistics ("aux:" in a file)."""
        return {
            self.nodes[node.inputs[position].node].name
            for node in self.nodes
            for position in STATES.get(node.operator, ())
            if position < len(node.inputs)
        }

    def ending_in(self, outputs: Sequence[Entry]) -> Graph:
        """Return the part of the graph that these outputs need.

        Its nodes are in the order in which a walk from the outputs leaves them, whatever the
        order was: equal networks become equal graphs.
        """
        order: list[int] = []
        seen: set[int] = set()
        for output in outputs:
            waiting = [(output.node, False)]
            while waiting:
                index, is_ready = waiting.pop()
                if is_ready:
                    order.append(index)
                elif index not in seen:
                    seen.add(index)
                    waiting.append((index, True))
                    waiting += [(e.node, False) for e in reversed(self.nodes[index].inputs)]
        places = {index: place for place, index in enumerate(order)}

        def moved(entries: Sequence[Entry]) -> tuple[Entry, ...]:
            return tuple(Entry(places[e.node], e.output) for e in entries)

        nodes = tuple(
            replace(self.nodes[index], inputs=moved(self.nodes[index].inputs)) for index in order
        )
        return replace(self, nodes=nodes, outputs=moved(outputs))


def attribute_value(text: str) -> Any:
    """Return the value of an attribute as Python, Python 2 ("2L") or other languages wrote it.

    What is no number, boolean, None or tuple of these is plain text.
    """
    text = text.strip()
    if text[:1] + text[-1:] in ("()", "[]") and len(text) > 1:
        parts = [part.strip() for part in text[1:-1].split(",")]
        if parts[-1] == "":  # (2,) and ()
            parts.pop()
        values = tuple(_scalar(part) for part in parts)
        return text if any(isinstance(value, str) for value in values) else values
    return _scalar(text)


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    number = text[:-1] if text.endswith("L") and text[:-1].lstrip("+-").isdecimal() else text
    if len(number) > _LONGEST_NUMBER or not number.isascii() or not _NUMBER.fullmatch(number):
        return text
    return int(number) if number.lstrip("+-").isdecimal() else float(number)

"""A symbol as a flat list of calls on tensors, executed with autograd.

A program knows the symbol alone: it needs the readers of checkpoints/ and torch, not MXNet.
Values go through numbered registers, each emptied behind its last reader, so that what no
gradient needs is freed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import copy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..checkpoints.nodes import Entry, Graph, Node
from ..checkpoints.parts import EMBEDDING_OUTPUT
from ..errors import CutShortError
from . import arithmetic, cuts, layers, losses, shapes  # noqa: F401 - they fill the table
from .table import Computed, Mode, computed

SEVERAL = "SliceChannel"  # the operator of which more outputs than the first are read


class Change(NamedTuple):
    """A state becomes share * old + (1 - share) * value."""

    state: str
    share: float
    value: Tensor


class Measured(NamedTuple):
    """The first output of a node: its shape, and its bytes."""

    node: Node
    shape: tuple[int, ...]
    size: int


class _Step(NamedTuple):
    """Call with the registers `sources`; what comes out goes to the register `target`, a tuple's
    parts to those of `parts`.  dead: registers read for the last time.  node: for messages."""

    call: Callable[..., Any]
    sources: tuple[int, ...]
    target: int
    parts: tuple[tuple[int, int], ...]
    dead: tuple[int, ...]
    node: int


class _Scaled(torch.autograd.Function):
    """A value as it is; its gradient is multiplied."""

    @staticmethod
    def forward(ctx, value: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient * ctx.scale, None


class Program:
    """How a graph is computed, in training or in inference.

    variables: the names of all that it reads.  ones: those that MXNet fills with 1 in every pass,
    the gammas of fix_gamma; they decay in between.  losses: for each output whether it makes a
    gradient of its own.  dtype: bfloat16 or float16 for the products of the network; the embedding
    itself and all behind it is float32.  single: what the symbol's "float32" is, float64 for a
    reference.  made_by: what makes the call of a node, the table.  Raises ValueError that names the
    node for an operator or an option not known.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        training: bool,
        dtype: torch.dtype | None = None,
        single: torch.dtype = torch.float32,
        made_by: Callable[[Node, Mode], Computed] = computed,
    ):
        graph = graph.ending_in(graph.outputs)
        self._nodes = nodes = graph.nodes
        self.output_names = graph.output_names()
        low = nodes_before_embedding(graph) if dtype else frozenset()
        made = {
            number: made_by(node, Mode(training, dtype if number in low else None, single))
            for number, node in enumerate(nodes)
            if not node.is_variable
        }
        registers: dict[Entry, int] = {}
        for entry in [*(entry for node in nodes for entry in node.inputs), *graph.outputs]:
            if entry.output and nodes[entry.node].operator != SEVERAL:
                source = nodes[entry.node]
                raise ValueError(
                    f"{source.operator} {source.name!r}: output {entry.output} of it is read, and "
                    "the torch engine gives its first alone; --engine mxnet gives every one"
                )
            registers.setdefault(entry, len(registers))
        advances = [
            (number, *advance) for number, one in made.items() for advance in one.advances
        ] if training else []  # fmt: skip
        for number, _, output, _ in advances:
            registers.setdefault(Entry(number, output), len(registers))
        self._inputs = [
            (node.name, registers[Entry(number, 0)])
            for number, node in enumerate(nodes)
            if node.is_variable
        ]
        self.variables = [name for name, _ in self._inputs]
        self._outputs = [registers[entry] for entry in graph.outputs]
        self._advances = [
            (nodes[nodes[number].inputs[place].node].name, share, registers[Entry(number, output)])
            for number, place, output, share in advances
        ]
        self._embedding = registers.get(_embedding(graph), -1)
        # One register more for what nobody reads.
        self._size = len(registers) + 1
        kept = {*self._outputs, *(register for _, _, register in self._advances)}
        last: dict[int, int] = {}
        for number, node in enumerate(nodes):
            last |= {registers[entry]: number for entry in node.inputs}
        dead: dict[int, list[int]] = {}
        for register, number in last.items():
            if register not in kept:
                dead.setdefault(number, []).append(register)
        self._steps = [
            self._step(number, one, registers, low, dead.get(number, []))
            for number, one in made.items()
        ]
        self.ones = [
            nodes[nodes[number].inputs[place].node].name
            for number, one in made.items()
            for place in one.sets_one
        ]
        self.losses = [
            not nodes[entry.node].is_variable and made[entry.node].is_loss
            for entry in graph.outputs
        ]

    def _step(
        self,
        number: int,
        made: Computed,
        registers: Mapping[Entry, int],
        low: frozenset[int],
        dead: list[int],
    ) -> _Step:
        node, call = self._nodes[number], made.call
        if low and number not in low:
            narrow = [entry.node in low for entry in node.inputs]
            call = _widened(call, narrow) if any(narrow) else call
        parts = tuple(
            (entry.output, register)
            for entry, register in registers.items()
            if entry.node == number and entry.output
        )
        first = registers.get(Entry(number, 0), self._size - 1)
        if made.advances or node.operator == SEVERAL:
            parts = ((0, first), *parts)
        sources = tuple(registers[entry] for entry in node.inputs)
        return _Step(call, sources, first, parts, tuple(dead), number)

    def __call__(
        self,
        values: Mapping[str, Tensor],
        *,
        device: torch.device | str = "cpu",
        scale: float | None = None,
    ) -> tuple[list[Tensor], list[Change]]:
        """Return the outputs, and in training how states change.

        values: of every variable.  device: where they are.  scale: by what the gradient that enters
        the network at the embedding is multiplied.  Raises ValueError that names the node which
        does not take what it gets.
        """
        held: list[Any] = [None] * self._size
        for name, register in self._inputs:
            held[register] = values[name]
        step = self._steps[0] if self._steps else None
        try:
            for step in self._steps:
                call, sources, target, parts, dead, _ = step
                if sources:
                    found = call(*[held[source] for source in sources])
                else:
                    found = call(device=device)
                if parts:
                    for part, register in parts:
                        held[register] = found[part]
                else:
                    held[target] = found
                if target == self._embedding and scale is not None:
                    held[target] = _Scaled.apply(held[target], scale)
                for register in dead:
                    held[register] = None
        except (torch.OutOfMemoryError, CutShortError):
            raise
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise self._unfit(step, held, error) from error
        changes = [Change(name, share, held[r].detach()) for name, share, r in self._advances]
        return [held[register] for register in self._outputs], changes

    def measured(self, sizes: Mapping[str, tuple[int, ...]]) -> list[Measured]:
        """Return what every operator gives for inputs of these shapes; nothing is computed.

        sizes: of every variable.  Raises ValueError that names the node which does not take them.
        """
        found: list[Measured] = []

        def noting(step: _Step) -> _Step:
            def call(*given: Any, **options: Any) -> Any:
                result = step.call(*given, **options)
                first = result[0] if isinstance(result, tuple) else result
                size = first.numel() * first.element_size()
                found.append(Measured(self._nodes[step.node], tuple(first.shape), size))
                return result

            return step._replace(call=call)

        program = copy.copy(self)
        program._steps = [noting(step) for step in self._steps]
        values = {name: torch.empty(sizes[name], device="meta") for name in self.variables}
        with torch.no_grad():
            program(values, device="meta")
        return found

    def _unfit(self, step: _Step, held: list[Any], error: Exception) -> ValueError:
        node = self._nodes[step.node]
        given = ", ".join(str(tuple(held[source].shape)) for source in step.sources)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return ValueError(f"{node.operator} {node.name!r} gets {given}: {reason}")


def _embedding(graph: Graph) -> Entry | None:
    """Return the embedding's entry, None in a graph without one."""
    for number, node in enumerate(graph.nodes):
        if not node.is_variable and node.output_name(0) == EMBEDDING_OUTPUT:
            return Entry(number, 0)
    return None


def nodes_before_embedding(graph: Graph) -> frozenset[int]:
    """Return the operators that the embedding is made of, without itself; none where there is no
    embedding."""
    found = _embedding(graph)
    if found is None:
        return frozenset()
    seen: set[int] = set()
    waiting = [entry.node for entry in graph.nodes[found.node].inputs]
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            waiting += [entry.node for entry in graph.nodes[number].inputs]
    return frozenset(number for number in seen if not graph.nodes[number].is_variable)


def network_variables(graph: Graph) -> frozenset[str]:
    """Return the names of the variables that the embedding is made of, "data" included."""
    found = _embedding(graph)
    return frozenset(graph.ending_in([found]).variables()) if found else frozenset()


def frozen_statistics(graph: Graph) -> Graph:
    """Return the graph in which the network normalises with its moving statistics in training too.

    They are then left as they are; scales, shifts and weights still learn.
    """
    found = _embedding(graph)
    inside = nodes_before_embedding(graph) | ({found.node} if found else set())
    nodes = [
        replace(node, texts=node.texts | {"use_global_stats": "True"})
        if number in inside and node.operator == "BatchNorm"
        else node
        for number, node in enumerate(graph.nodes)
    ]
    return replace(graph, nodes=tuple(nodes))


def _widened(call: Callable[..., Any], narrow: list[bool]) -> Callable[..., Any]:
    """Return the call on float32 in place of what comes out of the network in another precision."""

    def wide(*given: Tensor) -> Any:
        return call(
            *(
                value.float() if is_narrow else value
                for value, is_narrow in zip(given, narrow, strict=True)
            )
        )

    return wide

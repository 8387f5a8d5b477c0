"""The table of operators: MXNet's name -> what makes a function of tensors out of a node.

A maker gets the node's options and says which attributes it read; what it neither reads nor ignores
is refused, and so is an operator that the table lacks.  Defaults are those of MXNet 1.9.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..checkpoints.nodes import Node
from ..checkpoints.options import Options
from ..registry import Registry

OPERATORS = Registry("operator of the torch engine")
USE = "computed on PyTorch"


@dataclass(frozen=True)
class Mode:
    """In what a node is computed.

    training: with the batch's statistics and dropout.  dtype: what convolutions and dense layers
    multiply in, None for that of their inputs.  single: what "float32" is.
    """

    training: bool
    dtype: torch.dtype | None = None
    single: torch.dtype = torch.float32


@dataclass(frozen=True)
class Computed:
    """call: tensors -> a tensor, or a tuple of them.

    advances: of the inputs that are states, (input, output of call, share of the old that stays):
    in training the state becomes share * old + (1 - share) * output, or the output itself for 0.
    is_loss: its gradient is its own, whatever comes back to it.  sets_one: of the inputs that MXNet
    fills with 1 in every pass.
    """

    call: Callable[..., Any]
    advances: tuple[tuple[int, int, float], ...] = ()
    is_loss: bool = False
    sets_one: tuple[int, ...] = ()


Maker = Callable[[Options, Mode], Callable[..., Any] | Computed]


@dataclass(frozen=True)
class Operator:
    """A maker and how many inputs it takes; None: one or more."""

    make: Maker
    num_inputs: tuple[int, ...] | None


def operator(*names: str, inputs: int | tuple[int, ...] | None = 1) -> Callable[[Maker], Maker]:
    """Return a decorator that registers a maker under MXNet's names of the operator."""
    num_inputs = (inputs,) if isinstance(inputs, int) else inputs

    def enter(maker: Maker) -> Maker:
        OPERATORS.register(*names)(Operator(maker, num_inputs))
        return maker

    return enter


def computed(node: Node, mode: Mode) -> Computed:
    """Return how a node is computed.  Raises ValueError that names it if it is not known how."""
    if node.operator not in OPERATORS:
        raise ValueError(
            f"node {node.name!r}: operator {node.operator!r} is not in the table of the torch "
            "engine (src/torch_engine); --engine mxnet computes every one of MXNet's"
        )
    known = OPERATORS[node.operator]
    options, counts = Options(node, USE), known.num_inputs
    if (counts is None and not node.inputs) or (
        counts is not None and len(node.inputs) not in counts
    ):
        raise options.refusal(f"the operator with {len(node.inputs)} inputs")
    made = known.make(options, mode)
    options.check_all_read()
    return made if isinstance(made, Computed) else Computed(made)

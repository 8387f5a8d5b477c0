"""The training step on PyTorch: the published symbol, executed with autograd on one device.

Each process of a job has one.  As over MXNet's devices, gradients are summed, statistics are each
process's own, and what is embedded and saved has their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.nodes import Graph
from ..training.loss_scale import LOSS_SCALE, LossScale
from ..training.optimizer import Rule
from ..training.stepper import Params, Stepper, taken_statistics
from .exchange import Exchange, Processes
from .graph import Change, Program, network_variables
from .optimizer import TensorOptimizer

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Output:
    """An output of the graph, as metrics read it."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def size(self) -> int:
        return self.tensor.numel()

    def asnumpy(self) -> np.ndarray:
        return self.tensor.float().cpu().numpy()

    def sum(self) -> Output:
        return Output(self.tensor.sum())

    def argmax(self, axis: int) -> Output:
        return Output(self.tensor.argmax(dim=axis))


class TorchStepper(Stepper):
    """A graph's parameters on one device.

    graph: the training symbol as published.  shapes: of every input.  arg_params, aux_params:
    float32 arrays, numpy's or with asnumpy().  accumulate: how many batches run before each update;
    their gradients add up.  dtype: of DTYPES, what the products of the network are computed in;
    float16 with a loss scale.  compiled: by torch.compile.  processes: of the job, None for one.
    Raises ValueError for an operator that is not known, for parameters that are missing and inputs
    that are not fed, and for an output that is neither a loss nor without gradient.
    """

    def __init__(
        self,
        graph: Graph,
        device: torch.device | str,
        shapes: Mapping[str, tuple[int, ...]],
        arg_params: Params,
        aux_params: Params,
        optimizer: Rule,
        *,
        accumulate: int = 1,
        dtype: str = "float32",
        compiled: bool = False,
        processes: Processes | None = None,
    ):
        self.device = torch.device(device)
        self.shapes = dict(shapes)
        self.changes = 0
        self._program = program = Program(graph, training=True, dtype=DTYPES[dtype])
        self._run = torch.compile(program, dynamic=False) if compiled else program
        self.output_names = program.output_names
        self._scale = LossScale() if dtype == "float16" else None
        states = graph.states()
        refuse_unfed(program.variables, {*shapes, *arg_params, *aux_params}, graph.source)
        read = [name for name in program.variables if name not in self.shapes]
        self.param_names = [name for name in read if name not in states]
        self._weights = {n: self._tensor(arg_params[n]).requires_grad_() for n in self.param_names}
        self._states = {n: self._tensor(aux_params[n]) for n in read if n in states}
        scaled = network_variables(graph) & set(self.param_names) if self._scale else frozenset()
        self._exchange: Exchange | None = None
        if processes and processes.count > 1:
            self._exchange = Exchange(processes, self.device, self._weights, self._states)
        count = self._exchange.count if self._exchange else 1
        rescale = 1.0 / (accumulate * count)
        self._optimizer = TensorOptimizer(optimizer, self._weights, rescale, scaled)
        self._accumulate, self._passes = accumulate, 0  # since the last update
        self._outputs: list[Tensor] = []

    def _tensor(self, array: Any) -> Tensor:
        """Return an array here, with the channels last in memory if it has four axes."""
        array = array.asnumpy() if hasattr(array, "asnumpy") else np.asarray(array)
        tensor = torch.tensor(array, dtype=torch.float32)  # a copy
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        return tensor.to(self.device, memory_format=layout)

    def _input(self, array: np.ndarray) -> Tensor:
        """Return a batch's array here; what is here already may be shared."""
        tensor = torch.as_tensor(array)
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        return tensor.to(self.device, memory_format=layout)

    def join(self) -> None:
        if self._exchange:
            self._exchange.broadcast(list(self._weights.values()))
            self._exchange.share_states()
            self.changes += 1

    def forward_backward(self, inputs: Mapping[str, Any]) -> None:
        self.changes += 1
        given = {name: self._input(inputs[name]) for name in self.shapes}
        with torch.no_grad():
            for name in self._program.ones:
                self._weights[name].fill_(1)
        scale = self._scale.scale if self._scale else None
        values = self._weights | self._states | given
        outputs, changes = self._run(values, device=self.device, scale=scale)
        self._passes += 1
        if self._exchange:
            self._exchange.begin(is_last=self._passes == self._accumulate)
        outputs, more = self._backward(outputs, given)
        self._advance([*changes, *more])
        self._outputs = [output.detach() for output in outputs]

    def _backward(
        self, outputs: list[Tensor], given: Mapping[str, Tensor]
    ) -> tuple[list[Tensor], list[Change]]:
        """Make the gradients of the program's outputs; return those of the symbol, and changes of
        states beside the program's."""
        own = self._losses(outputs)
        torch.autograd.backward(own, [torch.ones_like(loss) for loss in own])
        return outputs, []

    def _losses(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs that make gradients of their own."""
        for output, is_loss, name in zip(
            outputs, self._program.losses, self.output_names, strict=True
        ):
            if output.requires_grad and not is_loss:
                raise ValueError(f"output {name!r} of the symbol is no loss, and would be trained")
        return [o for o, is_loss in zip(outputs, self._program.losses, strict=True) if is_loss]

    @torch.no_grad()
    def _advance(self, changes: Sequence[Change]) -> None:
        """Move the states on; those that keep the same share of the old all together."""
        shares: dict[float, list[Change]] = {}
        for change in changes:
            shares.setdefault(change.share, []).append(change)
        for share, group in shares.items():
            states, values = [self._states[c.state] for c in group], [c.value for c in group]
            torch._foreach_mul_(states, share)
            torch._foreach_add_(states, values, alpha=1 - share)

    def collect(self) -> None:
        if self._exchange:
            self._exchange.finish()

    def update(self, lr: float) -> None:
        self.changes += 1
        self._passes = 0
        gradients = {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad
            for name, weight in self._weights.items()
        }
        scale, is_finite = self.loss_scale or 1.0, True
        if self._scale:
            is_finite = self._is_finite(gradients)
            self._scale.take(is_finite)
        if is_finite:
            self._apply(gradients, lr, scale)
        for weight in self._weights.values():
            weight.grad = None

    def _is_finite(self, gradients: Mapping[str, Tensor]) -> bool:
        return first_bad(gradients) is None

    def _apply(self, gradients: Mapping[str, Tensor], lr: float, scale: float) -> None:
        """Make the step."""
        self._optimizer.update(gradients, lr, self._optimizer.clip_factor(gradients, scale), scale)

    @property
    def loss_scale(self) -> float | None:
        return self._scale.scale if self._scale else None

    def outputs(self) -> list[list[Output]]:
        return [[Output(tensor) for tensor in self._outputs]]

    def first_bad_output(self) -> str | None:
        return first_bad(dict(zip(self.output_names, self._outputs, strict=True)))

    def first_bad_parameter(self) -> str | None:
        return first_bad(self.tensors())  # with what the other processes gave to the mean

    def remember(self) -> None:
        ones = {name: self._weights[name].detach() for name in self._program.ones}
        self._remembered = {name: one.clone() for name, one in (self._states | ones).items()}

    @torch.no_grad()
    def rewind(self) -> None:
        own = self._weights | self._states
        for name, tensor in self._remembered.items():
            own[name].copy_(tensor)
        self.changes += 1

    def params(self) -> tuple[Params, Params]:
        return _arrays(self._weights), _arrays(self._mean_states())

    def tensors(self) -> dict[str, Tensor]:
        """Return parameters and statistics as a checkpoint of the last step has them, to be read
        before the next one."""
        return self._weights | self._mean_states()

    def _mean_states(self) -> dict[str, Tensor]:
        if not self._exchange:
            return self._states
        return self._exchange.states_of(self._exchange.table.mean(dim=0))

    def state(self) -> Params:
        state = _arrays(self._optimizer.states)
        if self._scale:
            state[LOSS_SCALE] = self._scale.state()
        of_all = [self._states]
        if self._exchange:
            of_all = [self._exchange.states_of(row) for row in self._exchange.table]
        for number, states in enumerate(of_all):
            state |= {f"aux{number}:{name}": array for name, array in _arrays(states).items()}
        return state

    def restore(self, state: Params) -> None:
        self.changes += 1
        state = {
            name: array.asnumpy() if hasattr(array, "asnumpy") else array
            for name, array in state.items()
        }
        if self._scale and LOSS_SCALE in state:
            self._scale.restore(state.pop(LOSS_SCALE))
        of_all = taken_statistics(state, {n: tuple(t.shape) for n, t in self._states.items()})
        self._optimizer.set_states(state)
        mine, count = (self._exchange.rank, self._exchange.count) if self._exchange else (0, 1)
        # Else the mean that this process began with stays.
        for name, array in of_all[mine].items() if len(of_all) == count else ():
            self._states[name].copy_(torch.as_tensor(array))


def refuse_unfed(read: Sequence[str], fed: set[str], source: str) -> None:
    """Raise ValueError if a symbol reads what is neither an input nor a parameter."""
    if unfed := [name for name in read if name not in fed]:
        raise ValueError(
            f"{source}: reads {', '.join(map(repr, unfed[:5]))}, which is neither an input that "
            "training feeds (data, softmax_label and what the loss adds) nor one of the parameters"
        )


def first_bad(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first that holds NaN or Inf, or None."""
    if not tensors:
        return None
    flags = torch.stack([torch.isfinite(tensor).all() for tensor in tensors.values()])
    if bool(flags.all()):  # the device is waited for once
        return None
    return list(tensors)[int((~flags).nonzero()[0])]


def _arrays(tensors: Mapping[str, Tensor]) -> Params:
    """Return copies in the CPU's memory, numpy's."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format).numpy()
        for name, tensor in tensors.items()
    }

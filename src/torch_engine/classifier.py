"""A loss whose classifier is shared out: each process has the rows of a slice of the identities.

Embeddings and labels of all processes are gathered; then, share after share of the batch, every
process computes the loss on its slice, so that nobody holds more logits than one share's of one
slice.  The gradient of each embedding is summed where the embedding came from.  A share is
normalised and keeps running values by itself, as each device does where the classifier is dense.
"""

from __future__ import annotations

from collections.abc import Mapping
import secrets
from typing import NamedTuple

import torch
from torch import Tensor

from ..checkpoints.nodes import Graph
from ..checkpoints.parts import EMBEDDING_OUTPUT
from ..training.optimizer import Rule
from .class_rows import ClassRows, SampledRows
from .collectives import Collectives
from .graph import Change, Program
from .sliced import Here
from .slices import MOST_IDENTITIES, slice_of
from .split import LABEL, SLICED, split_loss

CPU = torch.device("cpu")


class Passed(NamedTuple):
    """What a batch gives for this process's share.

    outputs: of the symbol; in place of the probabilities log sum exp (N,).  nearest: the identity
    with the largest logit, int64 (N,), of those that the step has.  gradient: of the embedding.
    changes: of the loss's running values.
    """

    outputs: list[Tensor]
    nearest: Tensor
    gradient: Tensor
    changes: list[Change]


class Classifier:
    """This process's part of a loss's classifier.

    graph: the training symbol.  identities: of all slices.  inputs: names of what a batch feeds.
    width: of an embedding.  rescale: on gradients, in updates.  rate: the share of the identities
    that a step has, None for all, without any sampling.  on_host: whether the rows lie in the
    CPU's memory.  Raises ValueError for a loss that cannot be computed so.
    """

    def __init__(
        self,
        graph: Graph,
        identities: int,
        inputs: frozenset[str],
        width: int,
        rule: Rule,
        rescale: float,
        together: Collectives,
        *,
        device: torch.device | str = CPU,
        rate: float | None = None,
        on_host: bool = False,
    ):
        self.loss = loss = split_loss(graph, identities, inputs)
        refuse_unfit(loss.sampling if rate is not None else "", identities, rate, on_host)
        self.device, self.together, self.identities = torch.device(device), together, identities
        self._rescale = rescale
        self._here = Here(together)
        self._program = Program(loss.graph, training=True, made_by=self._here.computed)
        self.output_names = self._program.output_names
        self.softmax = [
            name
            for name, entry in zip(self.output_names, loss.graph.outputs, strict=True)
            if loss.graph.nodes[entry.node].operator == SLICED + "SoftmaxOutput"
        ]
        if len(self.softmax) != 1:
            raise ValueError(f"{graph.source}: {len(self.softmax)} softmax outputs, not one")
        range_ = slice_of(identities, together.rank, together.count)
        if rate is None:
            self.rows = ClassRows(range_, loss.weights, width, rule, self.device)
        else:
            where = CPU if on_host else self.device
            self.rows = SampledRows(
                range_, loss.weights, width, rule, where,
                rate=rate, device=self.device, rank=together.rank,
            )  # fmt: skip

    def __call__(
        self, embedding: Tensor, inputs: Mapping[str, Tensor], states: Mapping[str, Tensor]
    ) -> Passed:
        """Return the loss of a batch; the gradients of the rows add up until update().

        embedding: (N, D) float32, this process's share, without a graph; inputs: of the share, each
        (N,); states: of this process.
        """
        names = [*self.loss.inputs, *self.loss.states]
        own = [embedding, *(inputs[name] for name in self.loss.inputs)]
        own += [states[name] for name in self.loss.states]
        packed = self.together.gathered(torch.cat([part.float().flatten() for part in own]))
        parts = packed.split([part.numel() for part in own], dim=1)
        shares = [
            {
                name: part[share].reshape(one.shape)
                for name, part, one in zip([EMBEDDING_OUTPUT, *names], parts, own, strict=True)
            }
            for share in range(self.together.count)
        ]
        self._here.slice, weights = self.rows.begin(torch.cat([one[LABEL] for one in shares]))
        passed = [self._share(number, values | weights) for number, values in enumerate(shares)]
        nearest = self.together.min(torch.stack([one.nearest for one in passed]))
        gradient = self.together.own_sum(torch.stack([one.gradient for one in passed]))
        outputs, _, _, changes = passed[self.together.rank]
        return Passed(outputs, nearest[self.together.rank], gradient, changes)

    def _share(self, number: int, values: dict[str, Tensor]) -> Passed:
        """Return the loss of one share; gradient: what this slice gives."""
        embedding = values[EMBEDDING_OUTPUT].requires_grad_()
        self._here.is_own = number == self.together.rank
        outputs, changes = self._program(values, device=self.device)
        losses = []
        for output, is_loss, name in zip(
            outputs, self._program.losses, self.output_names, strict=True
        ):
            if is_loss:
                losses.append(output)
            elif output.requires_grad:
                raise ValueError(f"output {name!r} of the symbol is no loss, and would be trained")
        torch.autograd.backward(losses, [torch.ones_like(loss) for loss in losses])
        outputs = [output.detach() for output in outputs]
        return Passed(outputs, self._here.nearest, embedding.grad, changes)

    def all_agree(self, is_so: bool) -> bool:
        """Return whether it is so on all processes."""
        return bool(self.together.min(torch.tensor(int(is_so), device=self.device)))

    def drawn(self, most: int) -> int:
        """Return a number from 1 on and below `most` that all processes get, and is never the same
        again."""
        own = 0 if self.together.rank else 1 + secrets.randbelow(most - 1)
        return int(self.together.sum(torch.tensor(own, device=self.device)))

    def norm(self) -> float:
        """Return the L2 norm of the gradients of all slices, before they are rescaled."""
        # float64: it is summed over millions of rows, and all must find the same number.
        squares = torch.zeros((), dtype=torch.float64, device=self.device)
        for gradient in self.rows.gradients().values():
            squares += torch.linalg.vector_norm(gradient, dtype=torch.float64) ** 2
        return float(self.together.sum(squares).sqrt())

    def update(self, lr: float, factor: float = 1.0) -> None:
        """Make one step at this learning rate.  factor: on gradients, from clipping."""
        self.rows.update(lr, self._rescale * factor)


def refuse_unfit(sampling: str, identities: int, rate: float | None, on_host: bool) -> None:
    """Raise ValueError for a classifier that cannot be; sampling: why none can be sampled."""
    if sampling:
        raise ValueError(f"cannot be sampled: {sampling}")
    if on_host and rate is None:
        raise ValueError("--classifier-memory host: every step would move all rows; give partial")
    if identities > MOST_IDENTITIES:
        raise ValueError(
            f"{identities} identities: labels are float32, exact up to {MOST_IDENTITIES}"
        )

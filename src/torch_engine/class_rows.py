"""The rows of the classifier that one process has, with the optimizer's states: all, or sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..training.optimizer import Rule
from .fills import Fill
from .sampling import sampled
from .slices import Range, Slice


class _Pass(NamedTuple):
    """A sample of a batch and its parameters on the device, with the gradient of that batch."""

    slice: Slice
    values: dict[str, Tensor]


class ClassRows:
    """Parameters of a range of the identities, all of which every step computes and updates.

    rows: of each parameter, how many an identity has.  width: of those with two axes.
    """

    def __init__(
        self, range_: Range, rows: Mapping[str, int], width: int, rule: Rule, where: torch.device
    ):
        self.range, self.rows, self._rule = range_, dict(rows), rule
        self.count = 0  # of updates, of rules that count
        shapes = {name: self._shape(name, width) for name in rows}
        self.weights = {n: torch.empty(shape, device=where) for n, shape in shapes.items()}
        self.moments = {
            f"{moment}:{name}": torch.zeros(shape, device=where)
            for moment in rule.moments
            for name, shape in shapes.items()
        }

    def _shape(self, name: str, width: int) -> tuple[int, ...]:
        count = self.range.size * self.rows[name]
        return (count,) if name.endswith("_bias") else (count, width)

    def fill(self, fill: Fill) -> None:
        for name, weight in self.weights.items():
            fill(name, self.range.begin * self.rows[name], weight)

    def begin(self, labels: Tensor) -> tuple[Slice, dict[str, Tensor]]:
        """Return what a batch of all processes, with these labels, computes with."""
        for weight in self.weights.values():
            weight.requires_grad_()
        return Slice(self.range), self.weights

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the batches since the last update together."""
        return {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad
            for name, weight in self.weights.items()
        }

    @torch.no_grad()
    def update(self, lr: float, rescale: float) -> None:
        """Make one step; rescale: on gradients."""
        self.count += self._rule.counts
        for name, gradient in self.gradients().items():
            moments = [self.moments[f"{moment}:{name}"] for moment in self._rule.moments]
            self._apply(name, [self.weights[name], gradient, *moments], lr, rescale)
        self.drop()

    def drop(self) -> None:
        """Forget the gradients."""
        for weight in self.weights.values():
            weight.grad = None

    def _apply(self, name: str, tensors: list[Tensor], lr: float, rescale: float) -> None:
        lr_mult, wd_mult = self._rule.multipliers(name)
        self._rule.update_tensors(
            [[tensor.detach()] for tensor in tensors],
            lr * lr_mult, self._rule.wd * wd_mult, rescale, self.count,
        )  # fmt: skip


class SampledRows(ClassRows):
    """Of the identities a step computes and updates a sample; the others stay as they are, with
    their optimizer's states, as published.

    They lie in the memory of `where`, and the sample's are moved to the device and back.
    """

    def __init__(
        self,
        range_: Range,
        rows: Mapping[str, int],
        width: int,
        rule: Rule,
        where: torch.device,
        *,
        rate: float,
        device: torch.device,
        rank: int,
    ):
        super().__init__(range_, rows, width, rule, where)
        self._rate, self._device, self._where, self._rank = rate, device, where, rank
        self._passes: list[_Pass] = []

    def begin(self, labels: Tensor) -> tuple[Slice, dict[str, Tensor]]:
        """The sample comes from torch's own generator, which every step begins with its seed, and
        is another one on each process."""
        seed = int(torch.randint(2**62, ())) ^ (self._rank * 0x9E3779B97F4A7C15 % 2**62)
        generator = torch.Generator().manual_seed(seed)
        sample = sampled(self.range, self._rate, labels.cpu(), generator)
        values = self._taken(self.weights, sample)
        for value in values.values():
            value.requires_grad_()
        found = _Pass(Slice(self.range, sample.to(self._device)), values)
        self._passes.append(found)
        return found

    def _places(self, name: str, sample: Tensor) -> Tensor:
        """Return where the rows of these identities lie."""
        places, each = (sample - self.range.begin).to(self._where), self.rows[name]
        if each == 1:
            return places
        return (places.unsqueeze(1) * each + torch.arange(each, device=self._where)).flatten()

    def _taken(self, tensors: Mapping[str, Tensor], sample: Tensor) -> dict[str, Tensor]:
        return {
            key: tensor.index_select(0, self._places(key.rpartition(":")[2], sample)).to(
                self._device
            )
            for key, tensor in tensors.items()
        }

    def gradients(self) -> dict[str, Tensor]:
        self._join()
        (only,) = self._passes
        return {
            name: torch.zeros_like(value) if value.grad is None else value.grad
            for name, value in only.values.items()
        }

    def _join(self) -> None:
        """Make one of several batches' samples, of all identities that any of them has."""
        if len(self._passes) == 1:
            return
        sample = torch.cat([one.slice.sample for one in self._passes]).unique()
        joined = Slice(self.range, sample)
        values = self._taken(self.weights, sample)
        for name, value in values.items():
            each = self.rows[name]
            value.grad = torch.zeros_like(value)
            for one in self._passes:
                if one.values[name].grad is None:
                    continue
                places, _ = joined.places(one.slice.sample)
                places = places.unsqueeze(1) * each + torch.arange(each, device=places.device)
                value.grad.index_add_(0, places.flatten(), one.values[name].grad)
        self._passes = [_Pass(joined, values)]

    @torch.no_grad()
    def update(self, lr: float, rescale: float) -> None:
        gradients = self.gradients()
        (only,) = self._passes
        self.count += self._rule.counts
        for name, gradient in gradients.items():
            keys = [f"{moment}:{name}" for moment in self._rule.moments]
            moments = self._taken({key: self.moments[key] for key in keys}, only.slice.sample)
            value = only.values[name].detach()
            self._apply(name, [value, gradient, *moments.values()], lr, rescale)
            places = self._places(name, only.slice.sample)
            self.weights[name].index_copy_(0, places, value.to(self._where))
            for key, moment in moments.items():
                self.moments[key].index_copy_(0, places, moment.to(self._where))
        self.drop()

    def drop(self) -> None:
        self._passes = []

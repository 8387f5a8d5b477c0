"""What every loss provides, the registry, and how one is built from the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from ..config import LossConfig, TrainConfig, flag_of, ignored_options
from ..lazy_mxnet import mx
from ..registry import Registry
from .reports import Metric, Metrics

LOSSES = Registry("loss", "--loss-type")

# Published milestones of --lr-steps at a batch of 512, and the batch they are meant for.
EARLY_MILESTONES = (40_000, 60_000, 80_000)  # losses 0 and 8 to 13
LATE_MILESTONES = (100_000, 140_000, 160_000)  # losses 1 to 7


@dataclass(frozen=True)
class Loss:
    """A loss is frozen options and a symbol.  Its fields besides num_classes are options of
    TrainConfig by the same name; it gets just those.

    symbol(embedding, label) returns a Group: output 0 the embedding (N, D) without gradient,
    output 1 the class probabilities (N, C) or the loss value, then what the loss adds.
    label is float32 (N,), the identity of each sample.
    batch_plan names how batches are drawn.  base_milestones are the steps, at a batch of 512,
    at which the learning rate drops; delay is how many steps later each drop comes.
    step_inputs(step) returns ((name, value), ...): extra inputs of the graph, each a float that
    every sample of the batch gets as (N,).  image_inputs() returns {name: shape}: extra inputs
    that every image brings with it, (N, *shape).
    needs_identities: there must be two or more.  needs_teacher: it cannot be trained without one.
    faults() says what is wrong with the options; building refuses them.
    """

    num_classes: int

    batch_plan: ClassVar[str] = "shuffled"
    base_milestones: ClassVar[tuple[int, ...]] = EARLY_MILESTONES
    needs_identities: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = False

    @property
    def delay(self) -> int:
        return 0

    def __post_init__(self) -> None:
        faults = self.faults()
        if faults:
            raise ValueError("\n".join(faults))

    def faults(self) -> list[str]:
        """Return one line for each option out of range."""
        return []

    def below(self, low: float, *names: str) -> list[str]:
        """Return a fault for each of these options that is below low."""
        return [
            f"{flag_of(name)} {getattr(self, name)}: must be at least {low}"
            for name in names
            if getattr(self, name) < low
        ]

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        raise TypeError(f"{type(self).__name__} has no symbol")

    def metric(self) -> Metrics:
        """Return what training reports: each part names the output it reads."""
        return Metrics(self.reports())

    def reports(self) -> list[Metric]:
        """Return the parts of metric(), the most telling first."""
        return []

    def step_inputs(self, step: int) -> Sequence[tuple[str, float]]:
        """Return the extra inputs of the graph at this step, counted from 1."""
        return ()

    def image_inputs(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what each image brings besides itself and its label, by name."""
        return {}


def build_loss(loss_type: str, config: TrainConfig, num_classes: int) -> Loss:
    """Return the loss of a number or name with the options it declares.

    Raises ValueError for an unknown loss, for options out of range, and for options that
    were changed although the chosen loss ignores them.
    """
    loss = LOSSES[loss_type]
    used = {f.name for f in fields(loss)} - {"num_classes"}
    names = "/".join(LOSSES.keys_of(loss))
    faults = ignored_options(config, LossConfig, used, f"loss {names}")
    if faults:
        raise ValueError("\n".join(faults))
    return loss(num_classes=num_classes, **{name: getattr(config, name) for name in used})

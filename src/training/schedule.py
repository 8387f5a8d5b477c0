"""The learning rate over the steps: a warm-up, then --lr times what the schedule says.

To add a schedule: a frozen dataclass registered by name, its options in ScheduleConfig.  It is
handed the fields it declares: its options, lr_warmup, and last_step where it falls towards the
end of the run; told is what is said of it before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
import math
from typing import Any, ClassVar

from ..config import ScheduleConfig, TrainConfig, ignored_options
from ..registry import Registry

# The published milestones are meant for this many images per step.
REFERENCE_BATCH = 512
DROP = 0.1

SCHEDULES = Registry("schedule", "--lr-schedule")


@SCHEDULES.register("step")
@dataclass(frozen=True)
class Steps:
    """As published: a tenth of what it was from the step after each milestone on."""

    options: ClassVar[frozenset[str]] = frozenset({"lr_steps"})
    told: ClassVar[str] = "a tenth after step {drops}"
    lr_steps: tuple[int, ...]

    def share(self, step: int) -> float:
        """Return what the rate of a step, counted from 1, is of --lr."""
        return DROP ** sum(step > drop for drop in self.lr_steps)


@dataclass(frozen=True)
class Falling:
    """From --lr in the first step after the warm-up to 0, which the step after the last would
    have: every step learns."""

    lr_warmup: int
    last_step: int

    def left(self, step: int) -> float:
        """Return the share of the steps after the warm-up that is left before this one, 0..1."""
        return min(1.0, (self.last_step - step + 1) / (self.last_step - self.lr_warmup))


@SCHEDULES.register("cosine")
@dataclass(frozen=True)
class Cosine(Falling):
    """Half a cosine down to 0 at the end.  Source: SGDR, arXiv 1608.03983, eq. 5, one period."""

    options: ClassVar[frozenset[str]] = frozenset()
    told: ClassVar[str] = "half a cosine down to 0 at the end"

    def share(self, step: int) -> float:
        return (1 - math.cos(math.pi * self.left(step))) / 2


@SCHEDULES.register("poly")
@dataclass(frozen=True)
class Poly(Falling):
    """(share of the steps left) ^ --lr-power, 0 at the end."""

    options: ClassVar[frozenset[str]] = frozenset({"lr_power"})
    told: ClassVar[str] = "a power of the steps left, 0 at the end"
    lr_power: float

    def share(self, step: int) -> float:
        return self.left(step) ** self.lr_power


def milestones(
    lr_steps: Sequence[int], base_milestones: Sequence[int], batch_size: int, delay: int = 0
) -> tuple[int, ...]:
    """Return the steps after which the rate drops.

    lr_steps are used as given; without any, the loss's published milestones are scaled by
    512 / batch_size, so that they fall after the same number of images.  As published both
    count from the end of --beta-freeze: delay is added.
    """
    scaled = (int(step * REFERENCE_BATCH / batch_size) for step in base_milestones)
    return tuple(step + delay for step in lr_steps or scaled)


def drops_at_milestones(config: TrainConfig) -> bool:
    """Return whether the schedule reads milestones.  Raises ValueError if it is unknown."""
    return "lr_steps" in SCHEDULES[config.lr_schedule].options


def needs_end(config: TrainConfig) -> bool:
    """Return whether the rates of a run depend on where it ends."""
    return "last_step" in {field.name for field in fields(SCHEDULES[config.lr_schedule])}


def make_schedule(config: TrainConfig, drops: tuple[int, ...], last_step: float) -> Any:
    """Return the schedule that the options ask for.

    drops: milestones().  last_step: inf if unknown.  Raises ValueError for an unknown
    --lr-schedule, for changed options that it does not read, and where it needs an end and
    there is none, or none after the warm-up.
    """
    entry, name = SCHEDULES[config.lr_schedule], f"--lr-schedule {config.lr_schedule}"
    faults = ignored_options(config, ScheduleConfig, entry.options, name)
    if needs_end(config):
        # The default of --end-epoch is no end that anybody chose.
        is_chosen = config.max_steps or config.end_epoch != TrainConfig.end_epoch
        if math.isinf(last_step):
            faults.append(f"{name}: falls to 0 at the end of the run; give --max-steps")
        elif not is_chosen:
            faults.append(
                f"{name}: falls to 0 at the end of the run; give --max-steps or --end-epoch"
            )
        elif config.lr_warmup >= last_step:
            faults.append(
                f"--lr-warmup {config.lr_warmup}: must be below the last step, {last_step}, "
                f"with {name}"
            )
    if faults:
        raise ValueError("\n".join(faults))
    known = vars(config) | {"lr_steps": drops, "last_step": last_step}
    return entry(**{field.name: known[field.name] for field in fields(entry)})


def learning_rate(step: int, lr: float, schedule: Any, warmup: int = 0) -> float:
    """Return the rate of a step, counted from 1.

    It grows linearly from lr / warmup over the first warmup steps, and is schedule.share(step)
    of lr.
    """
    rate = lr * schedule.share(step)
    return rate * step / warmup if step <= warmup else rate

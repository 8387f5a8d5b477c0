"""The learning rate over the steps: a constant that drops to a tenth at each milestone."""

from __future__ import annotations

from collections.abc import Sequence

# The published milestones are meant for this many images per step.
REFERENCE_BATCH = 512
DROP = 0.1


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


def learning_rate(step: int, lr: float, drops: Sequence[int], warmup: int = 0) -> float:
    """Return the rate of a step, counted from 1.

    It grows linearly from lr / warmup over the first warmup steps, and is a tenth of what it
    was from the step after each drop on.
    """
    rate = lr * DROP ** sum(step > drop for drop in drops)
    return rate * step / warmup if step <= warmup else rate

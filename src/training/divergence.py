"""A run whose numbers are no longer numbers ends, and what was saved stays."""

from __future__ import annotations

from ..checkpoints.names import LAST
from ..config import TrainConfig


class DivergedError(ValueError):
    """An output or a parameter of the network became NaN or infinite."""


def refuse_divergence(bad: str | None, step: int, config: TrainConfig) -> None:
    """Raise DivergedError if there is an output or parameter of this name that is not finite."""
    if bad is None:
        return
    raise DivergedError(
        f"step {step}: {bad!r} is NaN or infinite; training stops and what was saved stays. Try "
        f"--lr {config.lr / 10:g}, --lr-warmup 1000, --grad-clip 5 or a smaller margin, from "
        f"--pretrained {config.prefix},{LAST} if that was saved"
    )

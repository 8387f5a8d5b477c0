"""One training step on any number of devices: what the loop asks of an engine.

The loop knows no engine.  A stepper holds parameters, running statistics and the optimizer's state,
as MXNet's do: each device sees a contiguous share of the batch and keeps statistics of its own,
gradients are summed over devices and machines, and all weights stay equal.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ..checkpoints.last_state import LastState
from ..checkpoints.shards import Ranges

# Arrays by name, as the engine holds them; each has .asnumpy().
Params = dict[str, Any]


class Stepper(ABC):
    """Parameters that learn.

    shapes: per-device input shapes by name.  output_names: of the symbol, in order.  changes: grows
    with every change of parameters or statistics, for those who hold copies.
    """

    shapes: dict[str, tuple[int, ...]]
    output_names: list[str]
    changes: int

    @abstractmethod
    def join(self) -> None:
        """Begin with the weights of rank 0, as all machines do, and wait for each other."""

    @abstractmethod
    def forward_backward(self, inputs: Mapping[str, Any]) -> None:
        """Run one batch: inputs by name, (devices * per-device, ...); gradients add up."""

    @abstractmethod
    def collect(self) -> None:
        """Wait for what other processes add to the gradients; nothing else has changed then.

        Raises OtherMachineError if one of them is lost.
        """

    @abstractmethod
    def update(self, lr: float) -> None:
        """Apply the gradients of the batches since the last update together.

        Raises DivergedError in half precision if they overflow at every loss scale.
        """

    @property
    def loss_scale(self) -> float | None:
        """By what gradients are multiplied until the update, None outside half precision."""
        return None

    @abstractmethod
    def outputs(self) -> list[list[Any]]:
        """Return the outputs of the last batch, device by device, in the order of output_names."""

    @abstractmethod
    def first_bad_output(self) -> str | None:
        """Return the name of the first output that holds NaN or Inf, or None."""

    @abstractmethod
    def first_bad_parameter(self) -> str | None:
        """Return the name of the first weight or state that holds NaN or Inf, or None."""

    @abstractmethod
    def remember(self) -> None:
        """Keep the statistics as they are between two steps, for rewind()."""

    @abstractmethod
    def rewind(self) -> None:
        """Undo what forward_backward() changed since remember(); not an update."""

    @abstractmethod
    def params(self) -> tuple[Params, Params]:
        """Return (arg_params, aux_params) in CPU memory; statistics averaged over devices."""

    @abstractmethod
    def state(self) -> Params:
        """Return what a resumed run needs besides params(), by name, in CPU memory."""

    def ranges(self, step: int) -> Ranges | None:
        """Return what the files of a classifier that is shared out hold after this step, None for
        one that is in params() and state()."""
        return None

    def save_shard(self, prefix: str, step: int) -> None:
        """Write this process's rows of such a classifier, before the last state that names them.

        All processes do this together.  Raises OSError on all if one of them cannot.
        """
        assert self.ranges(step) is None, "rows that nobody writes"

    def restore_last(self, last: LastState, prefix: str) -> None:
        """Continue from the last state of a prefix, which restore() takes but for such rows."""
        self.restore(last.state)

    @abstractmethod
    def restore(self, state: Params) -> None:
        """Continue from state().  Of another number of devices the statistics are left as params()
        had them, their mean; MXNet takes no other number."""


def taken_statistics(state: Params, shapes: Mapping[str, tuple[int, ...]]) -> list[Params]:
    """Take what a last state has of each device's statistics, "aux0:bn0_moving_mean", out of it.

    shapes: of every statistic.  Returns them by name, device by device.  Raises ValueError for a
    device that lacks one, or has another or one of another shape.
    """
    keys = [key for key in state if key.startswith("aux")]
    count = len({key.partition(":")[0] for key in keys}) or min(1, len(shapes))
    wanted = {
        f"aux{device}:{name}": shape for device in range(count) for name, shape in shapes.items()
    }
    given = {key: tuple(state[key].shape) for key in keys}
    if differing := sorted(
        key for key in wanted.keys() | given.keys() if wanted.get(key) != given.get(key)
    ):
        key = differing[0]
        raise ValueError(
            f"the last state differs in the statistics {', '.join(differing[:3])}: {key} is "
            f"{given.get(key, 'missing')}, {wanted.get(key, 'none')} wanted"
        )
    return [{name: state.pop(f"aux{device}:{name}") for name in shapes} for device in range(count)]

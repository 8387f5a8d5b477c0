"""Gradients summed over the processes of a job while the backward pass still runs.

Weights stand in buckets, the last of the network first, since their gradients come first.  A bucket
is sent when all of it is there and all before it are sent: in the same order everywhere, whatever
order a process finds them in.  In plain hooks, and not by DistributedDataParallel: that takes a
module's forward pass, while here a program runs on tensors by name, once for several batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
import torch.distributed as dist

BUCKET = 25 << 20  # bytes; large enough to fill a network, small enough to begin early


class Processes(Protocol):
    """What is asked of the processes of a job: training/world.py."""

    rank: int
    count: int

    def group_on(self, device: torch.device) -> dist.ProcessGroup: ...

    def wait(self, start: Callable[[], dist.Work | None]) -> None: ...


class Exchange:
    """The gradients of these weights, and the statistics of all processes.

    weights: leaves, in the order in which the network reads them.  states: this process's own
    statistics.
    """

    def __init__(
        self,
        processes: Processes,
        device: torch.device,
        weights: Mapping[str, Tensor],
        states: Mapping[str, Tensor],
    ):
        self.rank, self.count = processes.rank, processes.count
        self._processes, self._states = processes, states
        self._group = processes.group_on(device)
        self._buckets = [_Bucket(part) for part in _parts(list(weights.values())[::-1])]
        for bucket in self._buckets:
            for number, weight in enumerate(bucket.weights):
                weight.register_post_accumulate_grad_hook(partial(self._came, bucket, number))
        self._is_last, self._sent = False, 0
        self._error: RuntimeError | None = None
        self.table = self._own_states().expand(self.count, -1).clone()  # (processes, values)

    def begin(self, *, is_last: bool) -> None:
        """Await the gradients of a batch; those of the last one of a step are sent."""
        self._is_last, self._sent = is_last, 0
        for bucket in self._buckets:
            bucket.begin()

    def _came(self, bucket: _Bucket, number: int, weight: Tensor) -> None:
        if self._is_last:
            bucket.missing.discard(number)
            while self._sent < len(self._buckets) and not self._buckets[self._sent].missing:
                self._send()

    def _send(self) -> None:
        """Send the next bucket.  No error leaves autograd: finish() raises it."""
        bucket = self._buckets[self._sent]
        self._sent += 1
        try:
            bucket.send(self._group)
        except RuntimeError as error:
            self._error = error

    def finish(self) -> None:
        """Wait until all gradients are sums, and the statistics of all are known.

        Raises OtherMachineError if another process is lost; then no gradient was changed on all.
        """
        while self._sent < len(self._buckets):  # what no loss depends on has no gradient
            self._send()
        for bucket in self._buckets:
            self._processes.wait(partial(self._begun, bucket))
        self.share_states()
        for bucket in self._buckets:
            bucket.spread()

    def _begun(self, bucket: _Bucket) -> dist.Work | None:
        if self._error:
            raise self._error
        return bucket.work

    def _own_states(self) -> Tensor:
        own = [state.detach().flatten() for state in self._states.values()]
        return torch.cat(own) if own else torch.zeros(0)

    def share_states(self) -> None:
        """Take the statistics of all processes as they are now."""
        own = self._own_states()
        if own.numel():
            found = [torch.empty_like(own) for _ in range(self.count)]
            self._processes.wait(
                lambda: dist.all_gather(found, own, group=self._group, async_op=True)
            )
            self.table = torch.stack(found)

    def broadcast(self, tensors: list[Tensor]) -> None:
        """Put those of rank 0 in place of these, on all."""
        for part in _parts(tensors):
            flat = torch.cat([tensor.detach().flatten() for tensor in part])
            self._processes.wait(partial(dist.broadcast, flat, 0, group=self._group, async_op=True))
            with torch.no_grad():
                _spread(flat, part)

    def states_of(self, row: Tensor) -> dict[str, Tensor]:
        """Return the statistics of a row of the table, or of a mean of them, by name."""
        sizes = [state.numel() for state in self._states.values()]
        return {
            name: part.view(state.shape)
            for (name, state), part in zip(self._states.items(), row.split(sizes), strict=True)
        }


class _Bucket:
    """Weights whose gradients are sent together.  missing: the numbers of those that are not there
    yet."""

    def __init__(self, weights: list[Tensor]):
        self.weights = weights
        self.missing: set[int] = set()
        self.work: dist.Work | None = None
        self._flat: Tensor | None = None

    def begin(self) -> None:
        self.missing, self.work, self._flat = set(range(len(self.weights))), None, None

    @torch.no_grad()
    def send(self, group: dist.ProcessGroup) -> None:
        for weight in self.weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        self._flat = torch.cat([weight.grad.flatten() for weight in self.weights])
        self.work = dist.all_reduce(self._flat, group=group, async_op=True)

    @torch.no_grad()
    def spread(self) -> None:
        """Put the sums where the gradients were."""
        _spread(self._flat, [weight.grad for weight in self.weights])
        self.work = self._flat = None


def _spread(flat: Tensor, tensors: list[Tensor]) -> None:
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def _parts(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Return the tensors in lists of about BUCKET bytes, in their order."""
    parts: list[list[Tensor]] = []
    size = BUCKET
    for tensor in tensors:
        if size >= BUCKET:
            parts.append([])
            size = 0
        parts[-1].append(tensor)
        size += tensor.numel() * tensor.element_size()
    return parts

"""What the processes of a job do together with tensors, and how many bytes each gives for it.

All take part in every call, in the same order.  One process alone sends nothing.  Gloo has no
reduce-scatter: there all rows are summed and the own ones taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
import torch.distributed as dist

from .exchange import Processes


class Collectives:
    """The processes of a job on this device, or this one alone for None.

    rank: which this one is of `count`.  given: bytes that this process has put into collectives.
    Every method raises what Processes.wait() does if another process is lost.
    """

    def __init__(self, processes: Processes | None = None, device: torch.device | str = "cpu"):
        self._processes = processes if processes and processes.count > 1 else None
        self.rank, self.count = (processes.rank, processes.count) if self._processes else (0, 1)
        self._group = self._processes and self._processes.group_on(torch.device(device))
        self._is_gloo = self._group is not None and dist.get_backend(self._group) == "gloo"
        self.given = 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the tensor, which becomes the sum over the processes in place."""
        return self._reduced(tensor, dist.ReduceOp.SUM)

    def max(self, tensor: Tensor) -> Tensor:
        """Return the tensor, which becomes the largest of the processes' in place."""
        return self._reduced(tensor, dist.ReduceOp.MAX)

    def min(self, tensor: Tensor) -> Tensor:
        """Return the tensor, which becomes the smallest of the processes' in place."""
        return self._reduced(tensor, dist.ReduceOp.MIN)

    def gathered(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, of one shape S, as (count, *S)."""
        if not self._processes:
            return tensor.unsqueeze(0)
        tensor = tensor.contiguous()
        found = tensor.new_empty((self.count, *tensor.shape))
        self._do(tensor, dist.all_gather, list(found.unbind(0)), tensor)
        return found

    def own_sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over the processes of what each has for this one: (count, *S) -> S.

        The tensor itself is used up.
        """
        if not self._processes:
            return tensor[0]
        if self._is_gloo:
            return self.sum(tensor)[self.rank]
        found = tensor.new_empty(tensor.shape[1:])
        self._do(tensor, dist.reduce_scatter_tensor, found, tensor)
        return found

    def _reduced(self, tensor: Tensor, operation: dist.ReduceOp) -> Tensor:
        if self._processes:
            self._do(tensor, dist.all_reduce, tensor, operation)
        return tensor

    def _do(self, tensor: Tensor, collective: Callable[..., Any], *arguments: Any) -> None:
        """Wait for a collective; the tensor is what this process gives."""
        self.given += tensor.numel() * tensor.element_size()
        self._processes.wait(lambda: collective(*arguments, group=self._group, async_op=True))


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value: Tensor, together: Collectives) -> Tensor:
        ctx.together = together
        return together.sum(value.clone())

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return ctx.together.sum(gradient.clone()), None


def summed(value: Tensor, together: Collectives) -> Tensor:
    """Return the sum over the processes, with its gradient: the loss is a sum over them too."""
    return value if together.count == 1 else _Summed.apply(value, together)

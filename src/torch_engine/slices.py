"""A slice of the identities, of which one process has the classifier's rows.

Every process has a contiguous range, and of partial classifiers a sample of its range in a step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Labels are float32, exact up to here.
MOST_IDENTITIES = 2**24


class Range(NamedTuple):
    """Identities begin <= i < end."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.begin

    def overlap(self, other: Range) -> Range:
        """Return what both have; of size 0 where they have nothing."""
        begin = max(self.begin, other.begin)
        return Range(begin, max(begin, min(self.end, other.end)))


def slice_of(identities: int, rank: int, count: int) -> Range:
    """Return the identities of one of `count` processes; sizes differ by one at most.

    Raises ValueError where a process would have none.
    """
    if identities < count:
        raise ValueError(
            f"--classifier: {identities} identities for {count} processes leave some without any; "
            "start fewer processes, or leave --classifier at dense"
        )
    return Range(identities * rank // count, identities * (rank + 1) // count)


class Slice:
    """The identities whose rows a step has here: a range, or a sample of it.

    sample: int64 (K,), ascending identities of the range, on the device; None for all of them.
    """

    def __init__(self, range_: Range, sample: Tensor | None = None):
        self.range, self.sample = range_, sample

    def __len__(self) -> int:
        return self.range.size if self.sample is None else len(self.sample)

    def places(self, identities: Tensor) -> tuple[Tensor, Tensor]:
        """Return where these identities stand here, int64 of their shape, and whether they do.

        The place of one that does not is 0.
        """
        numbers = identities.long()
        if self.sample is None:
            places = numbers - self.range.begin
            is_here = (places >= 0) & (places < self.range.size)
        else:
            places = torch.searchsorted(self.sample, numbers).clamp(max=max(len(self) - 1, 0))
            is_here = self.sample[places] == numbers
        return torch.where(is_here, places, 0), is_here

    def identities(self, places: Tensor) -> Tensor:
        """Return which identities stand at these places, int64."""
        return places + self.range.begin if self.sample is None else self.sample[places]

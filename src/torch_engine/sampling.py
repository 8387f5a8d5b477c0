"""Which identities of a slice a step of a partial classifier has.

The batch's own always; others at random without replacement, until the share that --sample-rate
says is full.  Source: Partial FC, arXiv 2010.05222, section 3.2, and its published MXNet code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .slices import Range


def sampled(range_: Range, rate: float, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return the identities of a range that a step has, ascending, int64 in CPU memory.

    labels: of all processes' batches, on the CPU.  rate: the share, in (0, 1]; at least one
    identity.  More than that share only where the batch's own are more.
    """
    wanted = max(1, int(range_.size * rate))
    if wanted == range_.size:
        return torch.arange(range_.begin, range_.end)
    is_in = torch.zeros(range_.size, dtype=torch.bool)
    own = labels.long() - range_.begin
    is_in[own[(own >= 0) & (own < range_.size)]] = True
    count = int(torch.count_nonzero(is_in))
    if count < wanted:
        # Of those that are not the batch's own, the fewer are drawn: to be in, or to be left out.
        free = range_.size - count
        is_few = 2 * (wanted - count) <= free
        drawn = _drawn(is_in, wanted - count if is_few else range_.size - wanted, generator)
        if is_few:
            is_in[drawn] = True
        else:
            is_in[:] = True
            is_in[drawn] = False
    return is_in.nonzero().squeeze(1) + range_.begin


def _drawn(is_taken: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` different places that are not taken, each such set as likely as another.

    At most half of the free ones.
    """
    found = torch.zeros_like(is_taken)
    size, missing = len(is_taken), count
    while missing > 0:
        free = size - int(torch.count_nonzero(is_taken)) - (count - missing)
        tries = torch.randint(size, (missing * size // free + 1,), generator=generator)
        found[tries[~is_taken[tries]]] = True
        missing = count - int(torch.count_nonzero(found))
    places = found.nonzero().squeeze(1)
    if missing < 0:  # some too many, and none is more likely to go than another
        kept = torch.randperm(len(places), generator=generator)[:count]
        places = places[kept]
    return places

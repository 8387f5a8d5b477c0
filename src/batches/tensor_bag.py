"""A bag of embeddings on PyTorch: which negative each pair gets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

from .mining import FAR


class TensorBag:
    """Unit embeddings (N, D) and identities (N,) on the device of a tensor; numpy's on the CPU.

    The distances are those of MxnetBag: |n|^2 - 2 a.n, and |a|^2 where they are handed out.
    """

    def __init__(self, embeddings: Tensor | np.ndarray, identities: np.ndarray):
        self.unit = F.normalize(torch.as_tensor(embeddings).float(), dim=1)
        if not torch.isfinite(self.unit).all():
            raise ValueError("embeddings are not finite: the network has diverged")
        self.squares = (self.unit * self.unit).sum(dim=1)  # (N,) 1 up to rounding
        _, numbers = np.unique(identities, return_inverse=True)
        self.identities = self._tensor(numbers)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, device=self.unit.device)

    def negatives(
        self, pairs: np.ndarray, picks: np.ndarray, alpha: float, mode: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """See Bag."""
        rows, place = np.unique(pairs[:, 0], return_inverse=True)
        anchors, place = self._tensor(rows), self._tensor(place)
        to_all = torch.addmm(self.squares, self.unit[anchors], self.unit.T, alpha=-2)  # (A, N)
        is_own = self.identities[anchors].unsqueeze(1) == self.identities
        ap = to_all[place, self._tensor(pairs[:, 1])]  # (P,)
        an = (to_all + is_own * FAR)[place]  # (P, N)
        beyond = an - ap.unsqueeze(1)  # d_an - d_ap
        candidates = beyond < alpha
        if mode == "semi-hard":
            candidates &= beyond > 0
        up_to = candidates.cumsum(dim=1)  # how many there are up to each column
        counts = up_to[:, -1]
        if mode == "hardest":
            chosen = an.argmin(dim=1)
        else:
            ranks = torch.floor(self._tensor(picks.astype(np.float32)) * counts)
            ranks = torch.minimum(ranks.long(), counts - 1).clamp(min=0)
            chosen = torch.searchsorted(up_to, ranks.unsqueeze(1) + 1).squeeze(1)
            chosen = chosen.clamp(max=len(self.squares) - 1)
        of_anchor = self.squares[anchors][place]
        d_ap, d_an = ap + of_anchor, an.gather(1, chosen.unsqueeze(1)).squeeze(1) + of_anchor
        found = [part.cpu().numpy() for part in (chosen, counts, d_ap, d_an)]
        return found[0], found[1].astype(np.float32), found[2], found[3]

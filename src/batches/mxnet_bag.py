"""A bag of embeddings on MXNet: which negative each pair gets."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from .mining import FAR

GROUP = 64  # columns that are counted together when the r-th candidate is looked for


class MxnetBag:
    """Unit embeddings (N, D) and identities (N,) on one device: that of an NDArray, else the CPU.

    For an anchor a, |a - n|^2 is |n|^2 - 2 a.n + |a|^2.  The last term is the same for all
    n, so it is left out of the comparisons and only added to the distances handed out.
    """

    def __init__(self, embeddings: mx.nd.NDArray | np.ndarray, identities: np.ndarray):
        self.ctx = embeddings.context if isinstance(embeddings, mx.nd.NDArray) else mx.cpu()
        embeddings = mx.nd.array(embeddings, dtype=np.float32, ctx=self.ctx)
        self.size = len(identities)
        self.unit = mx.nd.L2Normalization(embeddings, mode="instance")  # (N, D)
        if not mx.nd.all_finite(self.unit).asscalar():
            raise ValueError("embeddings are not finite: the network has diverged")
        self.squares = mx.nd.sum(self.unit * self.unit, axis=1)  # (N,) 1 up to rounding
        # Identities as 0, 1, ... are exact in float32, whatever their numbers are.
        _, numbers = np.unique(identities, return_inverse=True)
        self.identities = self._array(numbers)
        self.num_groups = -(-self.size // GROUP)
        self.up_to_group = self._array(np.triu(np.ones((self.num_groups,) * 2)))
        self.up_to_column = self._array(np.triu(np.ones((GROUP, GROUP))))
        self.ones = self._array(np.ones((GROUP, 1)))

    def _array(self, values: np.ndarray) -> mx.nd.NDArray:
        return mx.nd.array(values, ctx=self.ctx, dtype=np.float32)

    def negatives(
        self, pairs: np.ndarray, picks: np.ndarray, alpha: float, mode: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return for each pair the negative's row, the number of candidates, d_ap and d_an.

        Rows and d_an mean nothing where there is no candidate.
        """
        rows, place = np.unique(pairs[:, 0], return_inverse=True)
        anchors, place = self._array(rows), self._array(place)
        to_all = mx.nd.FullyConnected(  # the fastest matrix product MXNet has on a CPU
            mx.nd.take(self.unit, anchors) * -2, self.unit, self.squares, num_hidden=self.size
        )  # (A, N)
        own = mx.nd.take(self.identities, anchors).expand_dims(1)
        is_own = mx.nd.broadcast_equal(own, self.identities.expand_dims(0))
        ap = mx.nd.pick(mx.nd.take(to_all, place), self._array(pairs[:, 1]), axis=1)  # (P,)
        an = mx.nd.take(to_all + is_own * FAR, place)  # (P, N)
        beyond = mx.nd.broadcast_sub(an, ap.expand_dims(1))  # d_an - d_ap
        candidates = beyond < alpha
        if mode == "semi-hard":
            candidates *= beyond > 0
        grouped, up_to = self._count(candidates)
        counts = up_to[:, -1]
        if mode == "hardest":
            chosen = mx.nd.argmin(an, axis=1)
        else:
            ranks = mx.nd.minimum(mx.nd.floor(self._array(picks) * counts), counts - 1)
            chosen = self._ranked(grouped, up_to, ranks)
        of_anchor = mx.nd.take(mx.nd.take(self.squares, anchors), place)
        d_ap, d_an = ap + of_anchor, mx.nd.pick(an, chosen, axis=1) + of_anchor
        found = mx.nd.stack(chosen, counts, d_ap, d_an).asnumpy()
        return found[0].astype(np.int64), found[1], found[2], found[3]

    def _count(self, candidates: mx.nd.NDArray) -> tuple[mx.nd.NDArray, mx.nd.NDArray]:
        """Return candidates in groups of columns (P * groups, GROUP), and how many there are
        up to the end of each group (P, groups)."""
        num_pairs = candidates.shape[0]
        missing = self.num_groups * GROUP - self.size
        if missing:
            empty = mx.nd.zeros((num_pairs, missing), ctx=self.ctx)
            candidates = mx.nd.concat(candidates, empty, dim=1)
        grouped = candidates.reshape((num_pairs * self.num_groups, GROUP))
        in_group = mx.nd.dot(grouped, self.ones).reshape((num_pairs, self.num_groups))
        return grouped, mx.nd.dot(in_group, self.up_to_group)

    def _ranked(
        self, grouped: mx.nd.NDArray, up_to: mx.nd.NDArray, ranks: mx.nd.NDArray
    ) -> mx.nd.NDArray:
        """Return the column of the rank-th candidate of each pair, rank counted from 0.

        First the group of columns that holds it, then the column: no sorting, and no random
        number for each distance.
        """
        num_pairs = len(ranks)
        ranks = ranks.expand_dims(1)
        group = mx.nd.sum(mx.nd.broadcast_lesser_equal(up_to, ranks), axis=1)  # (P,)
        group = mx.nd.minimum(group, self.num_groups - 1)
        first = mx.nd.arange(num_pairs, ctx=self.ctx) * self.num_groups
        columns = mx.nd.take(grouped, first + group)  # (P, GROUP)
        counted = mx.nd.dot(columns, self.up_to_column)
        before = mx.nd.pick(up_to, group, axis=1) - counted[:, -1]
        rank_in_group = ranks - before.expand_dims(1)
        column = mx.nd.sum(mx.nd.broadcast_lesser_equal(counted, rank_in_group), axis=1)
        return mx.nd.minimum(group * GROUP + column, self.size - 1)

"""N-pair loss, loss 11."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..lazy_mxnet import mx
from .base import LOSSES
from .batchwise import IdentityLoss, unit


@LOSSES.register(11, "npair")
@dataclass(frozen=True)
class NPair(IdentityLoss):
    """Each identity's first image against the second images of all identities.

    Mean over i of log sum_j exp(cos_ij - cos_ii); cosines, as published, where the paper
    takes unbounded products.  As published it was cos_ij - cos_jj: here it is the paper's, which
    compares each first image with its own second one.
    Source: N-pair loss, NIPS 2016 (Sohn), eq. 7.
    """

    batch_plan: ClassVar[str] = "pairs"

    def faults(self) -> list[str]:
        if self.images_each() != 2:
            return [f"--images-per-identity {self.images_per_identity}: pairs are of 2 images"]
        return super().faults()

    def value(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
        pairs = mx.sym.reshape(unit(embedding), shape=(-4, -1, 2, 0))  # (K, 2, D)
        first = mx.sym.reshape(mx.sym.slice_axis(pairs, axis=1, begin=0, end=1), shape=(0, -1))
        second = mx.sym.reshape(mx.sym.slice_axis(pairs, axis=1, begin=1, end=2), shape=(0, -1))
        cosines = mx.sym.dot(first, second, transpose_b=True)  # (K, K)
        own = mx.sym.arange(0, self.per_batch_size // 2)
        return -mx.sym.mean(mx.sym.pick(mx.sym.log_softmax(cosines), own, axis=1))

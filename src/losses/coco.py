"""COCO loss, loss 9."""

from __future__ import annotations

from dataclasses import dataclass
import math

from ..lazy_mxnet import mx
from .base import LOSSES
from .batchwise import IdentityLoss, unit


@LOSSES.register(9, "coco")
@dataclass(frozen=True)
class Coco(IdentityLoss):
    """Congenerous cosine: softmax over the centroids of the identities in the batch.

    Logits are scale * cos(x, c_k) with c_k the mean embedding of the k-th identity and, as
    published, scale = ln(C - 1) / 2 + 3 for C identities in the dataset.
    Source: COCO, arXiv 1710.00870, eq. 5 to 7.
    """

    def faults(self) -> list[str]:
        too_few = [f"--loss-type coco: {self.num_classes} identities are too few; 2 or more"]
        return super().faults() + (too_few if self.num_classes < 2 else [])

    def value(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
        each, identities = self.images_each(), self.per_batch_size // self.images_each()
        scale = math.log(self.num_classes - 1) / 2 + 3
        groups = mx.sym.reshape(embedding, shape=(-4, identities, each, 0))  # (K, each, D)
        centroids = mx.sym.L2Normalization(mx.sym.mean(groups, axis=1), mode="instance")
        logits = scale * mx.sym.dot(unit(embedding), centroids, transpose_b=True)  # (N, K)
        place = mx.sym.arange(0, identities, repeat=each)  # (N,), 0 0 .. 1 1 ..
        return -mx.sym.mean(mx.sym.pick(mx.sym.log_softmax(logits), place, axis=1))

"""Marginal loss, loss 10."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import LOSSES
from .batchwise import IdentityLoss, unit

THRESHOLD = 1.2  # squared distance of unit embeddings; the paper's theta
ERROR_MARGIN = 0.3  # the paper's xi


@LOSSES.register(10, "marginal")
@dataclass(frozen=True)
class Marginal(IdentityLoss):
    """All pairs of a batch on the right side of one distance, with a margin.

    Mean over ordered pairs i != j of relu(0.3 + y (|x_i - x_j|^2 - 1.2)), unit embeddings,
    y = 1 for one identity and -1 for two.
    Source: Marginal Loss, CVPR workshops 2017 (Deng, Zhou, Zafeiriou), eq. 4.
    """

    def value(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
        x = unit(embedding)
        distance = 2 - 2 * mx.sym.dot(x, x, transpose_b=True)  # (N, N), squared
        is_same = mx.sym.broadcast_equal(
            mx.sym.expand_dims(label, axis=1), mx.sym.expand_dims(label, axis=0)
        )
        y = 2 * is_same - 1
        # a sample with itself adds relu(0.3 - 1.2) = 0
        loss = mx.sym.relu(ERROR_MARGIN + y * (distance - THRESHOLD))
        return mx.sym.sum(loss) / (self.per_batch_size * (self.per_batch_size - 1))

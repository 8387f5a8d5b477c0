"""Softmax with center loss, loss 8."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import LOSSES
from .classifier import incay_loss
from .reports import Metric, mean_of
from .softmax import Softmax
from .state import advanced, state


@LOSSES.register(8, "center")
@dataclass(frozen=True)
class Center(Softmax):
    """Plain softmax and the squared distance of each embedding to its identity's centre.

    Output "center_loss" is sum |x - c_y|^2 / (2 N); --center-scale multiplies its gradient.
    After each step the centres follow: c_j += alpha * sum_j (x - c_j) / (1 + n_j) over the
    n_j samples of identity j.  They are the state "fc7_centers" (C, D), zeros at first;
    part of the classifier, so fine-tuning on other identities starts anew.
    Source: center loss, ECCV 2016 (Wen et al.), eq. 2 to 4.
    """

    center_alpha: float
    center_scale: float

    def faults(self) -> list[str]:
        faults = super().faults() + self.below(0, "center_alpha", "center_scale")
        if self.center_alpha > 1:
            faults.append(f"--center-alpha {self.center_alpha}: a share, at most 1")
        return faults

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        logits = self.logits(embedding)
        centers = state("fc7_centers", (self.num_classes, 0))
        away = embedding - mx.sym.BlockGrad(mx.sym.take(centers, label))  # (N, D)
        loss = mx.sym.mean(mx.sym.sum(mx.sym.square(away), axis=1)) / 2
        moved = self.moved(centers, mx.sym.BlockGrad(away), label)
        extras = incay_loss(self.incay, embedding, logits, label)
        extras += [
            mx.sym.MakeLoss(loss, grad_scale=self.center_scale, name="center_loss"),
            # as an output, so that it is computed
            mx.sym.BlockGrad(mx.sym.take(moved, label), name="own_center"),
        ]
        return self.outputs(embedding, logits, label, extras)

    def moved(self, centers: mx.sym.Symbol, away: mx.sym.Symbol, label: mx.sym.Symbol):
        """Return the centres after this step, (C, D)."""
        is_own = mx.sym.one_hot(label, depth=self.num_classes)  # (N, C)
        total = mx.sym.dot(is_own, away, transpose_a=True)  # (C, D)
        count = mx.sym.expand_dims(mx.sym.sum(is_own, axis=0), axis=1)  # (C, 1)
        return advanced(centers, self.center_alpha * mx.sym.broadcast_div(total, 1 + count))

    def reports(self) -> list[Metric]:
        return [*super().reports(), mean_of("center_loss")]

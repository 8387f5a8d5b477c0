"""Plain softmax, loss 0."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import LOSSES
from .classifier import ClassifierLoss, incay_loss


@LOSSES.register(0, "softmax")
@dataclass(frozen=True)
class Softmax(ClassifierLoss):
    """Cross entropy of the logits W x + b, neither W nor x normalised.

    As published, the bias learns twice as fast (lr_mult 2) and does not decay (wd_mult 0);
    the optimizer honours such multipliers with --apply-mult 1.
    """

    fc7_no_bias: bool
    incay: float

    def faults(self) -> list[str]:
        return super().faults() + self.below(0, "incay")

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        logits = self.logits(embedding)
        extras = incay_loss(self.incay, embedding, logits, label)
        return self.outputs(embedding, logits, label, extras)

    def logits(self, embedding: mx.sym.Symbol) -> mx.sym.Symbol:
        options = {"no_bias": True}
        if not self.fc7_no_bias:
            options = {"bias": mx.sym.Variable("fc7_bias", lr_mult=2.0, wd_mult=0.0)}
        return mx.sym.FullyConnected(
            embedding, self.weight(), num_hidden=self.num_classes, name="fc7", **options
        )

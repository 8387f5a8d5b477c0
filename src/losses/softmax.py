"""Plain softmax, loss 0."""

from __future__ import annotations

from dataclasses import dataclass

import mxnet as mx

from .base import LOSSES
from .classifier import ClassifierLoss


@LOSSES.register(0, "softmax")
@dataclass(frozen=True)
class Softmax(ClassifierLoss):
    """Cross entropy of the logits W x + b, neither normalised.

    As published, the bias learns twice as fast (lr_mult 2) and does not decay (wd_mult 0);
    the optimizer honours such multipliers with --apply-mult 1.
    """

    fc7_no_bias: bool

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        bias = (
            {}
            if self.fc7_no_bias
            else {"bias": mx.sym.Variable("fc7_bias", lr_mult=2.0, wd_mult=0.0)}
        )
        logits = mx.sym.FullyConnected(
            embedding,
            self.weight(),
            no_bias=self.fc7_no_bias,
            num_hidden=self.num_classes,
            name="fc7",
            **bias,
        )
        return self.outputs(embedding, logits, label)

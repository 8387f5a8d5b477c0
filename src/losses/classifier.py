"""What the losses with a classifier share: its weight, the softmax and the margin softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import mxnet as mx

from .base import LATE_MILESTONES, Loss

# Cosines are kept this far inside [-1, 1] where a formula has an infinite slope at the ends.
# float32 cosines of unit vectors reach 1.0000011, and sqrt(1 - c*c) is NaN there.
COSINE_EPS = 1e-6

L2_EPS = 1e-10  # added to a squared length, as MXNet's L2Normalization does


@dataclass(frozen=True)
class ClassifierLoss(Loss):
    """Softmax over num_classes identities; the classifier is "fc7_weight" (C, D)."""

    fc7_lr_mult: float
    fc7_wd_mult: float
    ce_loss: bool

    def weight(self) -> mx.sym.Symbol:
        """Return the classifier's weight variable, (C, D), under its published name."""
        return mx.sym.Variable(
            "fc7_weight",
            shape=(self.num_classes, 0),
            lr_mult=self.fc7_lr_mult,
            wd_mult=self.fc7_wd_mult,
        )

    def outputs(
        self,
        embedding: mx.sym.Symbol,
        logits: mx.sym.Symbol,
        label: mx.sym.Symbol,
        extras: Sequence[mx.sym.Symbol] = (),
    ) -> mx.sym.Group:
        """Return embedding (no gradient), softmax with gradient (p - onehot) / N, extras."""
        softmax = mx.sym.SoftmaxOutput(logits, label, name="softmax", normalization="valid")
        outputs = [mx.sym.BlockGrad(embedding, name="embedding"), softmax, *extras]
        if self.ce_loss:  # from the logits: the log of a probability of 0 would be infinite
            log_p = mx.sym.pick(mx.sym.log_softmax(logits), label, axis=1)
            outputs.append(mx.sym.BlockGrad(-log_p, name="ce_loss"))  # (N,)
        return mx.sym.Group(outputs)

    def reports(self) -> list[mx.metric.EvalMetric]:
        reports = [mx.metric.Accuracy(name="acc", output_names=["softmax_output"], axis=1)]
        return reports + ([mean_of("ce_loss")] if self.ce_loss else [])


@dataclass(frozen=True)
class MarginSoftmax(ClassifierLoss):
    """Softmax over s * cosine in which only the target's cosine is changed.

    A subclass gives target_cosine.  Logits are s * cos(x, W); the margin is applied to the
    cosine of the sample's own class before scaling.  The third output, "free_acc" (N,), is 1
    where the sample's own class has the largest cosine before the margin.
    """

    margin_s: float
    margin_warmup: int

    base_milestones: ClassVar[tuple[int, ...]] = LATE_MILESTONES

    def faults(self) -> list[str]:
        faults = super().faults()
        if self.margin_s <= 0:
            faults.append(f"--margin-s {self.margin_s}: the scale must be above 0")
        if self.margin_warmup < 0:
            faults.append(f"--margin-warmup {self.margin_warmup}: must be at least 0 steps")
        return faults

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        """Return what replaces the target's cosine, (N,) -> (N,).

        growth (N,) is 0..1, the share of the margin that --margin-warmup has reached.
        """
        raise TypeError(f"{type(self).__name__} has no target_cosine")

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        cosines = class_cosines(embedding, self.weight(), self.num_classes)  # (N, C)
        cosine = mx.sym.pick(cosines, label, axis=1)  # (N,)
        target = self.target_cosine(cosine, self.growth(cosine))
        logits = self.margin_s * replace_target(cosines, target, label, self.num_classes)
        return self.outputs(embedding, logits, label, [free_accuracy(cosines, label)])

    def growth(self, like: mx.sym.Symbol) -> mx.sym.Symbol:
        return mx.sym.Variable("margin_growth") if self.margin_warmup else mx.sym.ones_like(like)

    def step_inputs(self, step: int) -> Sequence[tuple[str, float]]:
        if not self.margin_warmup:
            return ()
        return (("margin_growth", min(1.0, (step - 1) / self.margin_warmup)),)

    def reports(self) -> list[mx.metric.EvalMetric]:
        accuracy, *others = super().reports()
        return [accuracy, mean_of("free_acc"), *others]


def class_cosines(embedding: mx.sym.Symbol, weight: mx.sym.Symbol, num_rows: int) -> mx.sym.Symbol:
    """Return the cosine of every embedding with every row of weight, (N, num_rows).

    The rows' lengths divide the products, not the rows: the same cosines without a second
    copy of the weight, and the length of a row is told by the embedding.
    """
    unit = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")
    products = mx.sym.FullyConnected(unit, weight, no_bias=True, num_hidden=num_rows, name="fc7")
    squares = mx.sym.sum(mx.sym.square(weight), axis=1, keepdims=False)  # (num_rows,)
    lengths = mx.sym.expand_dims(mx.sym.sqrt(squares + L2_EPS), axis=0)
    return mx.sym.broadcast_div(products, lengths)


def replace_target(
    logits: mx.sym.Symbol, new: mx.sym.Symbol, label: mx.sym.Symbol, num_classes: int
) -> mx.sym.Symbol:
    """Return logits (N, C) with new (N,) in the column of each label."""
    change = mx.sym.expand_dims(new - mx.sym.pick(logits, label, axis=1), axis=1)  # (N, 1)
    return logits + mx.sym.broadcast_mul(mx.sym.one_hot(label, depth=num_classes), change)


def inside(cosine: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return cosine kept inside (-1, 1), where arccos and sqrt(1 - c*c) have finite slopes."""
    return mx.sym.clip(cosine, -1 + COSINE_EPS, 1 - COSINE_EPS)


def free_accuracy(logits: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the output "free_acc" (N,): 1 where the label's logit is the largest, else 0."""
    return mx.sym.BlockGrad(mx.sym.argmax(logits, axis=1) == label, name="free_acc")


def mean_of(output: str) -> mx.metric.EvalMetric:
    """Return the metric that averages an output over samples, under the output's own name."""
    return mx.metric.Loss(name=output, output_names=[f"{output}_output"])

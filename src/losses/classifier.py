"""What the losses with a classifier share: its weight, the softmax and the reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import Loss
from .reports import Accuracy, DecilesEvery, Metric, mean_of


@dataclass(frozen=True)
class ClassifierLoss(Loss):
    """Softmax over num_classes identities; the classifier is "fc7_weight" (C, D)."""

    fc7_lr_mult: float
    fc7_wd_mult: float
    ce_loss: bool
    logits_verbose: int

    def weight(self, rows: int | None = None) -> mx.sym.Symbol:
        """Return the classifier's weight variable under its published name, (rows or C, D)."""
        return mx.sym.Variable(
            "fc7_weight",
            shape=(rows or self.num_classes, 0),
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
        # From the logits: a probability may be 0 and its log infinite.
        log_p = mx.sym.pick(mx.sym.log_softmax(logits), label, axis=1)  # (N,)
        if self.logits_verbose:
            outputs.append(mx.sym.BlockGrad(mx.sym.exp(log_p), name="target_probability"))
        if self.ce_loss:
            outputs.append(mx.sym.BlockGrad(-log_p, name="ce_loss"))
        return mx.sym.Group(outputs)

    def reports(self) -> list[Metric]:
        reports = [Accuracy("acc", ["softmax_output"])]
        if self.ce_loss:
            reports.append(mean_of("ce_loss"))
        if self.logits_verbose:
            reports.append(DecilesEvery(self.logits_verbose, "target_probability"))
        return reports


def incay_loss(
    incay: float, embedding: mx.sym.Symbol, logits: mx.sym.Symbol, label: mx.sym.Symbol
) -> list[mx.sym.Symbol]:
    """Return the output "incay_loss", which asks for long embeddings; none where incay is 0.

    Its value is incay times the mean of 1 / |x|^2 over the batch, where only samples whose
    largest logit is their own identity's count.  Source: feature incay, arXiv 1705.08284,
    in the published script's form.
    """
    if not incay:
        return []
    correct = mx.sym.BlockGrad(mx.sym.argmax(logits, axis=1) == label)
    squares = mx.sym.sum(mx.sym.square(embedding), axis=1) + 1e-10
    return [mx.sym.MakeLoss(incay * mx.sym.mean(correct / squares), name="incay_loss")]

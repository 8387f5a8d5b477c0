"""What every loss provides, the registry, and the margin softmax that most of them are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import mxnet as mx

from ..config import TrainConfig, ignored_options
from ..registry import Registry

LOSSES = Registry("loss")

# Published milestones of --lr-steps at a batch of 512, and the batch they are meant for.
EARLY_MILESTONES = (40_000, 60_000, 80_000)  # losses 0 and 8 to 13
LATE_MILESTONES = (100_000, 140_000, 160_000)  # losses 1 to 7

# Cosines are kept this far inside [-1, 1] where a formula has an infinite slope at the ends.
# float32 cosines of unit vectors reach 1.0000011, and sqrt(1 - c*c) is NaN there.
COSINE_EPS = 1e-6


@dataclass(frozen=True)
class Loss:
    """A loss is frozen options and a symbol.  Its fields besides num_classes are options of
    TrainConfig by the same name; it gets just those.

    symbol(embedding, label) returns a Group: output 0 the embedding (N, D) without gradient,
    output 1 the class probabilities (N, C) or the loss value, then what the loss adds.
    batch_plan names how batches are drawn.  base_milestones are the steps, at a batch of 512,
    at which the learning rate drops.  step_inputs(step) returns ((name, value), ...): extra
    inputs of the graph, each a float that every sample of the batch gets as (N,).
    """

    num_classes: int

    batch_plan: ClassVar[str] = "shuffled"
    base_milestones: ClassVar[tuple[int, ...]] = EARLY_MILESTONES

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
        raise TypeError(f"{type(self).__name__} has no symbol")

    def metric(self) -> mx.metric.EvalMetric:
        """Return the training metric: accuracy of the probabilities, output 1, on the label."""
        return mx.metric.Accuracy(name="acc", output_names=["softmax_output"], axis=1)

    def step_inputs(self, step: int) -> Sequence[tuple[str, float]]:
        """Return the extra inputs of the graph at this step, counted from 1."""
        return ()


def build_loss(loss_type: str, config: TrainConfig, num_classes: int) -> Loss:
    """Return the loss of a number or name with the options it declares.

    Raises ValueError for an unknown loss, and for options that were changed although the
    chosen loss ignores them.
    """
    loss = LOSSES[loss_type]
    used = {f.name for f in fields(loss)} - {"num_classes"}
    names = "/".join(LOSSES.keys_of(loss))
    faults = ignored_options(config, "loss", used, f"loss {names}")
    if faults:
        raise ValueError("\n".join(faults))
    return loss(num_classes=num_classes, **{name: getattr(config, name) for name in used})


def classifier_weight(num_classes: int) -> mx.sym.Symbol:
    """Return the classifier's weight variable, (num_classes, D), under its published name."""
    return mx.sym.Variable("fc7_weight", shape=(num_classes, 0))


@dataclass(frozen=True)
class MarginSoftmax(Loss):
    """Softmax over s * cosine in which only the target's cosine is changed.

    A subclass gives target_cosine.  Logits are s * cos(x, W); the margin is applied to the
    cosine of the sample's own class before scaling.
    """

    margin_s: float

    base_milestones: ClassVar[tuple[int, ...]] = LATE_MILESTONES

    def target_cosine(self, cosine: mx.sym.Symbol) -> mx.sym.Symbol:
        """Return what replaces the target's cosine, (N,) -> (N,)."""
        raise TypeError(f"{type(self).__name__} has no target_cosine")

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
        weight = mx.sym.L2Normalization(classifier_weight(self.num_classes), mode="instance")
        unit = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")
        cosines = mx.sym.FullyConnected(
            unit, weight, no_bias=True, num_hidden=self.num_classes, name="fc7"
        )  # (N, C)
        cosine = mx.sym.pick(cosines, label, axis=1)  # (N,)
        change = mx.sym.expand_dims(self.target_cosine(cosine) - cosine, axis=1)  # (N, 1)
        target = mx.sym.one_hot(label, depth=self.num_classes)  # (N, C)
        logits = self.margin_s * (cosines + mx.sym.broadcast_mul(target, change))
        return softmax_outputs(embedding, logits, label)


def softmax_outputs(
    embedding: mx.sym.Symbol, logits: mx.sym.Symbol, label: mx.sym.Symbol
) -> mx.sym.Symbol:
    """Return the Group of embedding (no gradient) and softmax; gradient (p - onehot) / N."""
    softmax = mx.sym.SoftmaxOutput(logits, label, name="softmax", normalization="valid")
    return mx.sym.Group([mx.sym.BlockGrad(embedding), softmax])

"""Margin softmax: softmax over scaled cosines in which a margin changes the target's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..lazy_mxnet import mx
from .base import LATE_MILESTONES
from .classifier import ClassifierLoss
from .reports import AnglesEvery, Metric, mean_of

# Cosines are kept this far inside [-1, 1] where a formula has an infinite slope at the ends.
# float32 cosines of unit vectors reach 1.0000011, and sqrt(1 - c*c) is NaN there.
COSINE_EPS = 1e-6

L2_EPS = 1e-10  # added to a squared length, as MXNet's L2Normalization does


@dataclass(frozen=True)
class Parts:
    """The pieces of the graph that a margin may use."""

    embedding: mx.sym.Symbol  # (N, D)
    label: mx.sym.Symbol  # (N,)
    weight: mx.sym.Symbol  # (C, D)
    cosines: mx.sym.Symbol  # (N, C), of every embedding with every class
    cosine: mx.sym.Symbol  # (N,), of every embedding with its own class
    num_classes: int  # C


@dataclass(frozen=True)
class CosineSoftmax(ClassifierLoss):
    """Softmax over scale * cosine, where a subclass changes the cosines.

    Its third output, "free_acc" (N,), is 1 where the sample's own class has the largest
    cosine before the margin.
    """

    margin_verbose: int

    base_milestones: ClassVar[tuple[int, ...]] = LATE_MILESTONES

    def changed_cosines(self, parts: Parts) -> mx.sym.Symbol:
        """Return the cosines with the margin, (N, C)."""
        raise TypeError(f"{type(self).__name__} has no changed_cosines")

    def scale(self, parts: Parts) -> mx.sym.Symbol | float:
        """Return the factor on the cosines: a number, or a symbol (N or 1, C or 1)."""
        raise TypeError(f"{type(self).__name__} has no scale")

    def extra_losses(self, parts: Parts, logits: mx.sym.Symbol) -> list[mx.sym.Symbol]:
        """Return further outputs with a gradient of their own."""
        return []

    def parts(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> Parts:
        weight = self.weight()
        cosines = class_cosines(embedding, weight, self.num_classes)
        cosine = mx.sym.pick(cosines, label, axis=1)
        return Parts(embedding, label, weight, cosines, cosine, self.num_classes)

    def symbol(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Group:
        parts = self.parts(embedding, label)
        changed = self.changed_cosines(parts)
        scale = self.scale(parts)
        is_number = isinstance(scale, float)
        logits = changed * scale if is_number else mx.sym.broadcast_mul(changed, scale)
        is_nearest = mx.sym.argmax(parts.cosines, axis=1) == label
        extras = [mx.sym.BlockGrad(is_nearest, name="free_acc")]
        extras += self.extra_losses(parts, logits)
        if self.margin_verbose:
            after = mx.sym.pick(changed, label, axis=1)
            extras.append(mx.sym.BlockGrad(parts.cosine, name="target_cosine"))
            extras.append(mx.sym.BlockGrad(after, name="margin_cosine"))
        return self.outputs(embedding, logits, label, extras)

    def reports(self) -> list[Metric]:
        accuracy, *others = super().reports()
        if self.margin_verbose:
            others.append(AnglesEvery(self.margin_verbose, "target_cosine", "margin_cosine"))
        return [accuracy, mean_of("free_acc"), *others]


@dataclass(frozen=True)
class MarginSoftmax(CosineSoftmax):
    """Softmax over s * cosine; a subclass says what becomes of the target's cosine."""

    margin_s: float
    margin_warmup: int

    def faults(self) -> list[str]:
        return super().faults() + scale_faults(self.margin_s) + self.below(0, "margin_warmup")

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        """Return what replaces the target's cosine, (N,) -> (N,).

        growth (N,) is 0..1, the share of the margin that --margin-warmup has reached.
        """
        raise TypeError(f"{type(self).__name__} has no target_cosine")

    def changed_cosines(self, parts: Parts) -> mx.sym.Symbol:
        return with_target(parts, self.target_cosine(parts.cosine, self.growth(parts)))

    def scale(self, parts: Parts) -> mx.sym.Symbol | float:
        return float(self.margin_s)

    def growth(self, parts: Parts) -> mx.sym.Symbol:
        if self.margin_warmup:
            return mx.sym.Variable("margin_growth")
        return mx.sym.ones_like(parts.cosine)

    def step_inputs(self, step: int) -> Sequence[tuple[str, float]]:
        if not self.margin_warmup:
            return ()
        return (("margin_growth", min(1.0, (step - 1) / self.margin_warmup)),)


def scale_faults(margin_s: float) -> list[str]:
    """Return what is wrong with a fixed scale."""
    return [] if margin_s > 0 else [f"--margin-s {margin_s}: the scale must be above 0"]


def class_cosines(embedding: mx.sym.Symbol, weight: mx.sym.Symbol, rows: int) -> mx.sym.Symbol:
    """Return the cosine of every embedding with every row of weight, (N, rows).

    The rows' lengths divide the products, not the rows: the same cosines without a second
    copy of the weight, and the embedding tells how long a row is.
    """
    unit = mx.sym.L2Normalization(embedding, mode="instance", name="fc1n")
    products = mx.sym.FullyConnected(unit, weight, no_bias=True, num_hidden=rows, name="fc7")
    return mx.sym.broadcast_div(products, mx.sym.expand_dims(lengths(weight), axis=0))


def lengths(rows: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the L2 length of each row, (M, D) -> (M,)."""
    return mx.sym.sqrt(mx.sym.sum(mx.sym.square(rows), axis=1) + L2_EPS)


def with_target(
    parts: Parts, target: mx.sym.Symbol, cosines: mx.sym.Symbol | None = None
) -> mx.sym.Symbol:
    """Return the cosines, or these in their place, with target (N,) for each own class."""
    if cosines is None:
        cosines, old = parts.cosines, parts.cosine
    else:
        old = mx.sym.pick(cosines, parts.label, axis=1)
    change = mx.sym.expand_dims(target - old, axis=1)  # (N, 1)
    is_own = mx.sym.one_hot(parts.label, depth=parts.num_classes)  # (N, C)
    return cosines + mx.sym.broadcast_mul(is_own, change)


def inside(cosine: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return cosine kept inside (-1, 1), where arccos and sqrt(1 - c*c) have finite slopes."""
    return mx.sym.clip(cosine, -1 + COSINE_EPS, 1 - COSINE_EPS)


def angle(cosine: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the angle in radians, inside (0, pi)."""
    return mx.sym.arccos(inside(cosine))

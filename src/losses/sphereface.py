"""SphereFace, loss 1, and its two relatives by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from ..config import TrainConfig
from ..lazy_mxnet import mx
from .base import LOSSES
from .classifier import incay_loss
from .margin import CosineSoftmax, Parts, lengths, scale_faults, with_target

# The published script's schedule for more identities than this.
MANY_CLASSES = 20_000
MANY_CLASSES_FREEZE = 5_000
MANY_CLASSES_GAMMA = 0.06


@dataclass(frozen=True)
class MultipleAngle(CosineSoftmax):
    """Multiplicative angular margin: the target's cosine becomes (psi + beta c) / (1 + beta).

    psi(theta) = (-1)^k cos(margin theta) - 2k for theta in [k pi, (k+1) pi] / margin: falls
    from 1 to 1 - 2 margin over [0, pi].  beta (N,) is an input of the graph that falls from
    --beta to --beta-min: training starts near the plain softmax.
    """

    margin: int
    beta: float
    beta_min: float
    beta_freeze: int
    gamma: float
    power: float
    incay: float

    def faults(self) -> list[str]:
        at_least_0 = self.below(0, "beta", "beta_min", "beta_freeze", "gamma", "power", "incay")
        return super().faults() + self.below(1, "margin") + at_least_0

    def changed_cosines(self, parts: Parts) -> mx.sym.Symbol:
        beta = mx.sym.Variable("beta")
        psi = falling_cosine(parts.cosine, self.margin)
        target = (psi + beta * parts.cosine) / (1 + beta)
        return with_target(parts, target)

    def extra_losses(self, parts: Parts, logits: mx.sym.Symbol) -> list[mx.sym.Symbol]:
        return incay_loss(self.incay, parts.embedding, logits, parts.label)

    def step_inputs(self, step: int) -> Sequence[tuple[str, float]]:
        return (("beta", self.beta_at(step)),)

    @property
    def delay(self) -> int:
        return self.annealing()[0]

    def annealing(self) -> tuple[int, float]:
        """Return the steps that beta rests, and gamma.

        As published, more than 20000 identities are held at --beta for 5000 steps and fall
        with gamma 0.06; here only where neither --beta-freeze nor --gamma was given.
        """
        given = self.beta_freeze, self.gamma
        is_default = given == (TrainConfig.beta_freeze, TrainConfig.gamma)
        if is_default and self.num_classes > MANY_CLASSES:
            return MANY_CLASSES_FREEZE, MANY_CLASSES_GAMMA
        return given

    def beta_at(self, step: int) -> float:
        """Return beta for this step, counted from 1."""
        freeze, gamma = self.annealing()
        done = step - 1 - freeze  # falling steps behind us
        if done <= 0:
            return self.beta
        return max(self.beta_min, self.beta * (1 + gamma * done) ** -self.power)


@LOSSES.register(1, "sphereface")
@dataclass(frozen=True)
class SphereFace(MultipleAngle):
    """A-Softmax: logits |x| cos(theta), weights normalised, embeddings not.

    Source: SphereFace, arXiv 1704.08063, eq. 7 and its section on annealing.
    """

    def scale(self, parts: Parts) -> mx.sym.Symbol | float:
        return mx.sym.expand_dims(lengths(parts.embedding), axis=1)  # (N, 1)


@LOSSES.register("lsoftmax")
@dataclass(frozen=True)
class LSoftmax(MultipleAngle):
    """Large-margin softmax: logits |W_j| |x| cos(theta_j), nothing normalised.

    Source: L-Softmax, arXiv 1612.02295, eq. 4 to 6.
    """

    def scale(self, parts: Parts) -> mx.sym.Symbol | float:
        of_weight = mx.sym.expand_dims(lengths(parts.weight), axis=0)  # (1, C)
        of_embedding = mx.sym.expand_dims(lengths(parts.embedding), axis=1)  # (N, 1)
        return mx.sym.broadcast_mul(of_embedding, of_weight)


@LOSSES.register("fnorm-sphereface")
@dataclass(frozen=True)
class FeatureNormSphereFace(MultipleAngle):
    """SphereFace with normalised embeddings: the scale s in place of |x|."""

    margin_s: float

    def faults(self) -> list[str]:
        return super().faults() + scale_faults(self.margin_s)

    def scale(self, parts: Parts) -> mx.sym.Symbol | float:
        return float(self.margin_s)


def falling_cosine(cosine: mx.sym.Symbol, margin: int) -> mx.sym.Symbol:
    """Return psi(theta) of cosine = cos(theta), (N,) -> (N,), without an arccos.

    cos(margin theta) is the Chebyshev polynomial of the cosine: finite slopes everywhere.
    """
    previous, multiple = mx.sym.ones_like(cosine), cosine
    for _ in range(margin - 1):
        previous, multiple = multiple, 2 * cosine * multiple - previous
    k = mx.sym.zeros_like(cosine)  # how many of pi/margin, 2 pi/margin, ... theta has passed
    for i in range(1, margin):
        k = k + (cosine < math.cos(i * math.pi / margin))
    sign = 1 - 2 * (k % 2)
    return sign * multiple - 2 * k

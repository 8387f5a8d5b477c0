"""AdaFace, by name."""

from __future__ import annotations

from dataclasses import dataclass
import math

from ..lazy_mxnet import mx
from .base import LOSSES
from .margin import MarginSoftmax, Parts, angle, lengths, with_target
from .state import decay_faults, running

# Constants of the paper's own program.
START_MEAN, START_STD = 20.0, 100.0
MIN_LENGTH, MAX_LENGTH = 0.001, 100.0
ANGLE_EPS = 1e-3  # radians; theta + margin is kept this far inside [0, pi]


@LOSSES.register("adaface")
@dataclass(frozen=True)
class AdaFace(MarginSoftmax):
    """The margin's form follows the image's quality, told by the embedding's length.

    z = h (|x| - mean) / std, kept in [-1, 1] and without gradient; the target's cosine
    becomes cos(theta - m z) - (m + m z).  mean and std are running values of the batch's,
    the states "length_mean" and "length_std" (1, 1).  In training the batch counts first.
    For faces the paper takes m = 0.4, h = 0.333.
    Source: AdaFace, arXiv 2204.00964, eq. 12 to 15.
    """

    margin_m: float
    adaface_h: float
    running_decay: float

    def faults(self) -> list[str]:
        return (
            super().faults()
            + self.below(0, "margin_m", "adaface_h")
            + decay_faults(self.running_decay)
        )

    def changed_cosines(self, parts: Parts) -> mx.sym.Symbol:
        z = self.quality(lengths(parts.embedding))
        m = self.margin_m * self.growth(parts)
        moved = mx.sym.clip(angle(parts.cosine) - m * z, ANGLE_EPS, math.pi - ANGLE_EPS)
        return with_target(parts, mx.sym.cos(moved) - (m + m * z))

    def quality(self, length: mx.sym.Symbol) -> mx.sym.Symbol:
        """Return z in [-1, 1] of the embeddings' lengths, (N,) -> (N,)."""
        length = mx.sym.clip(mx.sym.BlockGrad(length), MIN_LENGTH, MAX_LENGTH)
        length = mx.sym.expand_dims(length, axis=1)  # (N, 1)
        mean = mx.sym.mean(length, axis=0, keepdims=True)  # (1, 1)
        squares = mx.sym.sum(
            mx.sym.square(mx.sym.broadcast_sub(length, mean)), axis=0, keepdims=True
        )
        count = mx.sym.sum(mx.sym.ones_like(length), axis=0, keepdims=True)
        std = mx.sym.sqrt(squares / mx.sym.broadcast_maximum(count - 1, mx.sym.ones((1, 1))))
        mean = running("length_mean", mean, self.running_decay, START_MEAN)
        std = running("length_std", std, self.running_decay, START_STD)
        z = mx.sym.broadcast_div(mx.sym.broadcast_sub(length, mean), std + 1e-3)
        return mx.sym.clip(mx.sym.reshape(self.adaface_h * z, shape=(-1,)), -1, 1)

"""CurricularFace, by name."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .arcface import add_angle, angular_faults
from .base import LOSSES
from .margin import MarginSoftmax, Parts, with_target
from .state import decay_faults, running


@LOSSES.register("curricularface")
@dataclass(frozen=True)
class CurricularFace(MarginSoftmax):
    """ArcFace in which hard other classes weigh more as training goes on.

    A class nearer than the own class with its margin, c_j > cos(theta + m), gets the cosine
    c_j (t + c_j).  t is the running mean of the target's cosine, the state "curriculum"
    (1, 1), 0 at first and without gradient.  In training the batch counts first.
    Source: CurricularFace, arXiv 2004.00288, eq. 4 to 6 and 10.
    """

    margin_m: float
    running_decay: float

    def faults(self) -> list[str]:
        return super().faults() + angular_faults(self.margin_m) + decay_faults(self.running_decay)

    def changed_cosines(self, parts: Parts) -> mx.sym.Symbol:
        target = add_angle(parts.cosine, self.margin_m * self.growth(parts))
        mean = mx.sym.mean(mx.sym.expand_dims(parts.cosine, axis=1), axis=0, keepdims=True)
        t = running("curriculum", mx.sym.BlockGrad(mean), self.running_decay, 0.0)
        is_hard = mx.sym.broadcast_greater(parts.cosines, mx.sym.expand_dims(target, axis=1))
        harder = parts.cosines * mx.sym.broadcast_add(parts.cosines, t)
        return with_target(parts, target, mx.sym.where(is_hard, harder, parts.cosines))

"""ArcFace, loss 4."""

from __future__ import annotations

from dataclasses import dataclass
import math

from ..lazy_mxnet import mx
from .base import LOSSES
from .margin import MarginSoftmax, inside


@LOSSES.register(4, "arcface")
@dataclass(frozen=True)
class ArcFace(MarginSoftmax):
    """Additive angular margin: the target's cosine becomes cos(theta + m), m in radians.

    With the easy margin, angles of 90 degrees and more keep their cosine.
    Source: ArcFace, arXiv 1801.07698, eq. 3; the branches are the published script's.
    """

    margin_m: float
    easy_margin: int

    def faults(self) -> list[str]:
        return super().faults() + angular_faults(self.margin_m)

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        margin = self.margin_m * growth
        if self.easy_margin:
            return mx.sym.where(cosine > 0, cosine_of_sum(cosine, margin), cosine)
        return add_angle(cosine, margin)


def angular_faults(margin_m: float) -> list[str]:
    """Return what is wrong with an angular margin in radians."""
    if 0 <= margin_m < math.pi / 2:
        return []
    return [f"--margin-m {margin_m}: an angle in radians, from 0 to below pi/2"]


def cosine_of_sum(cosine: mx.sym.Symbol, margin: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return cos(theta + margin) of cosine = cos(theta), both (N,)."""
    c = inside(cosine)
    return c * mx.sym.cos(margin) - mx.sym.sqrt(1 - c * c) * mx.sym.sin(margin)


def add_angle(cosine: mx.sym.Symbol, margin: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return cos(theta + margin) while theta + margin < pi, else a linear tail.

    Past pi the cosine would rise again.  As published, the cosine gets the margin
    m sin(m) in cosine units there, and the comparison is a strict "cos(theta) > cos(pi - m)".
    """
    limit = -mx.sym.cos(margin)  # cos(pi - m)
    tail = cosine - margin * mx.sym.sin(margin)
    return mx.sym.where(cosine > limit, cosine_of_sum(cosine, margin), tail)

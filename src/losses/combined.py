"""Combined margin, loss 5."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import LOSSES
from .margin import MarginSoftmax, angle


@LOSSES.register(5, "combined")
@dataclass(frozen=True)
class Combined(MarginSoftmax):
    """The target's cosine becomes cos(a theta + m) - b; a factor, m radians, b cosine units.

    As published, nothing guards a theta + m > pi, where the cosine rises again.
    Source: ArcFace, arXiv 1801.07698, eq. 4 (m1, m2, m3 there).
    """

    margin_a: float
    margin_m: float
    margin_b: float

    def faults(self) -> list[str]:
        return super().faults() + self.below(0, "margin_a", "margin_m", "margin_b")

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        if self.margin_a == 1 and self.margin_m == 0:
            return cosine - self.margin_b * growth
        factor = 1 + (self.margin_a - 1) * growth
        moved = factor * angle(cosine) + self.margin_m * growth
        return mx.sym.cos(moved) - self.margin_b * growth

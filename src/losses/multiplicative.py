"""Multiplicative angular margin by arccos, loss 3."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import LOSSES
from .margin import MarginSoftmax, angle


@LOSSES.register(3, "multiplicative")
@dataclass(frozen=True)
class Multiplicative(MarginSoftmax):
    """The target's cosine becomes cos(m theta), m = --margin-m a factor above 1.

    As published, without the falling continuation of SphereFace: past theta = pi / m the
    cosine rises again.  Here a factor below 1 is refused (there it meant no margin).
    """

    margin_m: float

    def faults(self) -> list[str]:
        faults = super().faults()
        if self.margin_m < 1:
            faults.append(
                f"--margin-m {self.margin_m}: here a factor on the angle, at least 1, such as 2"
            )
        return faults

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        factor = 1 + (self.margin_m - 1) * growth
        return mx.sym.cos(factor * angle(cosine))

"""ArcFace, loss 4."""

from __future__ import annotations

from dataclasses import dataclass
import math

import mxnet as mx

from .base import LOSSES
from .classifier import MarginSoftmax, inside


@LOSSES.register(4, "arcface")
@dataclass(frozen=True)
class ArcFace(MarginSoftmax):
    """Additive angular margin: the target's cosine becomes cos(theta + m), m in radians.

    Past theta + m = pi that would rise again, so there, as published, the cosine gets the
    linear tail c - m sin(m): a margin in cosine units, continuous in slope but not in value.
    With the easy margin, angles of 90 degrees and more keep their cosine instead.
    Source: ArcFace, arXiv 1801.07698, eq. 3 (eq. 9 of its first version, with the tail).
    """

    margin_m: float
    easy_margin: int

    def faults(self) -> list[str]:
        faults = super().faults()
        if not 0 <= self.margin_m < math.pi / 2:
            faults.append(f"--margin-m {self.margin_m}: must be in [0, pi/2) radians")
        return faults

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        margin = self.margin_m * growth
        cos_m, sin_m = mx.sym.cos(margin), mx.sym.sin(margin)
        c = inside(cosine)
        with_margin = c * cos_m - mx.sym.sqrt(1 - c * c) * sin_m  # cos(theta + m)
        if self.easy_margin:
            return mx.sym.where(cosine > 0, with_margin, cosine)
        # cos(pi - m) = -cos(m); the published ">" is strict
        return mx.sym.where(cosine > -cos_m, with_margin, cosine - margin * sin_m)

"""CosFace, also called AM-Softmax, loss 2."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import LOSSES
from .margin import MarginSoftmax, Parts, lengths


@LOSSES.register(2, "cosface", "amsoftmax")
@dataclass(frozen=True)
class CosFace(MarginSoftmax):
    """Additive cosine margin: the target's cosine becomes c - m, m in cosine units.

    As published, a scale s of 0 or less leaves the embedding's own length |x| in its place.
    Source: CosFace, arXiv 1801.09414, eq. 4; AM-Softmax, arXiv 1801.05599, eq. 6.
    """

    margin_m: float

    def faults(self) -> list[str]:
        return self.below(0, "margin_m", "margin_warmup")

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        return cosine - self.margin_m * growth

    def scale(self, parts: Parts) -> mx.sym.Symbol | float:
        if self.margin_s > 0:
            return float(self.margin_s)
        return mx.sym.expand_dims(lengths(parts.embedding), axis=1)  # (N, 1)

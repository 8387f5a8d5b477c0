"""Sub-center ArcFace, by name."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .arcface import ArcFace
from .base import LOSSES
from .margin import Parts, class_cosines


@LOSSES.register("subcenter-arcface")
@dataclass(frozen=True)
class SubCenterArcFace(ArcFace):
    """ArcFace with K centres per identity; the nearest of them gives the cosine.

    The classifier "fc7_weight" is (C * K, D), the K rows of an identity in a run.
    Source: Sub-center ArcFace, ECCV 2020 (Deng et al.), section 3.2.
    """

    subcenters: int

    def faults(self) -> list[str]:
        return super().faults() + self.below(1, "subcenters")

    def parts(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> Parts:
        rows = self.num_classes * self.subcenters
        weight = self.weight(rows)
        each = class_cosines(embedding, weight, rows)  # (N, C * K)
        each = mx.sym.reshape(each, shape=(0, self.num_classes, self.subcenters))
        cosines = mx.sym.max(each, axis=2)  # (N, C)
        cosine = mx.sym.pick(cosines, label, axis=1)
        return Parts(embedding, label, weight, cosines, cosine, self.num_classes)

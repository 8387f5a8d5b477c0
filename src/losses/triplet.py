"""Triplet losses: squared distance, loss 12, and angle, loss 13."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..lazy_mxnet import mx
from .base import LOSSES
from .batchwise import BatchLoss, unit
from .margin import angle


@dataclass(frozen=True)
class TripletLoss(BatchLoss):
    """A loss on shares laid out as all anchors, then all positives, then all negatives."""

    triplet_alpha: float

    batch_plan: ClassVar[str] = "triplets"

    def faults(self) -> list[str]:
        faults = super().faults()
        if self.per_batch_size % 3:
            faults.append(f"--per-batch-size {self.per_batch_size}: triplets need a multiple of 3")
        return faults

    def value(self, embedding: mx.sym.Symbol, label: mx.sym.Symbol) -> mx.sym.Symbol:
        anchor, positive, negative = mx.sym.split(unit(embedding), num_outputs=3, axis=0)
        return mx.sym.mean(mx.sym.relu(self.excess(anchor, positive, negative)))

    def excess(
        self, anchor: mx.sym.Symbol, positive: mx.sym.Symbol, negative: mx.sym.Symbol
    ) -> mx.sym.Symbol:
        """Return by how much each triplet misses its aim, (T,); inputs (T, D) of length 1."""
        raise TypeError(f"{type(self).__name__} has no excess")


@LOSSES.register(12, "triplet")
@dataclass(frozen=True)
class Triplet(TripletLoss):
    """Mean of relu(|a - p|^2 - |a - n|^2 + alpha) over unit embeddings.

    Source: FaceNet, arXiv 1503.03832, eq. 3.
    """

    def excess(
        self, anchor: mx.sym.Symbol, positive: mx.sym.Symbol, negative: mx.sym.Symbol
    ) -> mx.sym.Symbol:
        near = mx.sym.sum(mx.sym.square(anchor - positive), axis=1)
        far = mx.sym.sum(mx.sym.square(anchor - negative), axis=1)
        return near - far + self.triplet_alpha


@LOSSES.register(13, "atriplet")
@dataclass(frozen=True)
class AngularTriplet(TripletLoss):
    """Mean of relu(theta_ap - theta_an + m) over angles, m = --margin-m in radians.

    As published; --triplet-alpha still bounds the mining, in squared distance.
    """

    margin_m: float

    def faults(self) -> list[str]:
        return super().faults() + self.below(0, "margin_m")

    def excess(
        self, anchor: mx.sym.Symbol, positive: mx.sym.Symbol, negative: mx.sym.Symbol
    ) -> mx.sym.Symbol:
        near = angle(mx.sym.sum(anchor * positive, axis=1))
        far = angle(mx.sym.sum(anchor * negative, axis=1))
        return near - far + self.margin_m

"""ArcFace with a second loss on the angles: intra, loss 6, and inter, loss 7."""

from __future__ import annotations

from dataclasses import dataclass
import math

from ..lazy_mxnet import mx
from .arcface import angular_faults
from .base import LOSSES
from .margin import MarginSoftmax, Parts, angle, lengths
from .reports import Metric, mean_of


@dataclass(frozen=True)
class AddedAngle(MarginSoftmax):
    """The target's cosine becomes cos(theta + m), as published without a guard at pi.

    --margin-b is the weight of the second loss.
    Source: ArcFace, arXiv 1801.07698, section on intra- and inter-loss.
    """

    margin_m: float
    margin_b: float

    def faults(self) -> list[str]:
        faults = super().faults() + angular_faults(self.margin_m)
        if self.margin_b <= 0:
            faults.append(
                f"--margin-b {self.margin_b}: here the weight of the second loss, above 0"
            )
        return faults

    def target_cosine(self, cosine: mx.sym.Symbol, growth: mx.sym.Symbol) -> mx.sym.Symbol:
        return mx.sym.cos(angle(cosine) + self.margin_m * growth)


@LOSSES.register(6, "arcface-intra")
@dataclass(frozen=True)
class ArcFaceIntra(AddedAngle):
    """ArcFace and the mean angle to the own class: output "intra_loss" = mean(theta / pi)."""

    def extra_losses(self, parts: Parts, logits: mx.sym.Symbol) -> list[mx.sym.Symbol]:
        intra = mx.sym.mean(angle(parts.cosine)) / math.pi
        return [mx.sym.MakeLoss(intra, grad_scale=self.margin_b, name="intra_loss")]

    def reports(self) -> list[Metric]:
        return [*super().reports(), mean_of("intra_loss")]


@LOSSES.register(7, "arcface-inter")
@dataclass(frozen=True)
class ArcFaceInter(AddedAngle):
    """ArcFace and the mean cosine between classes: output "inter_loss".

    The mean over the batch's own classes (one per sample) and all classes: with unit rows
    w_j, the mean of w_y . w_j is the mean of w_y . (mean of w_j).
    """

    def extra_losses(self, parts: Parts, logits: mx.sym.Symbol) -> list[mx.sym.Symbol]:
        scale = mx.sym.expand_dims(lengths(parts.weight), axis=1)  # (C, 1)
        unit = mx.sym.broadcast_div(parts.weight, scale)
        middle = mx.sym.mean(unit, axis=0, keepdims=True)  # (1, D)
        own = mx.sym.take(unit, parts.label)  # (N, D)
        inter = mx.sym.mean(mx.sym.sum(mx.sym.broadcast_mul(own, middle), axis=1))
        return [mx.sym.MakeLoss(inter, grad_scale=self.margin_b, name="inter_loss")]

    def reports(self) -> list[Metric]:
        return [*super().reports(), mean_of("inter_loss")]

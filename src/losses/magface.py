"""MagFace, by name."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .arcface import add_angle
from .base import LOSSES
from .margin import MarginSoftmax, Parts, lengths, with_target
from .reports import Metric, mean_of


@LOSSES.register("magface")
@dataclass(frozen=True)
class MagFace(MarginSoftmax):
    """ArcFace whose margin grows with the embedding's length a = |x|.

    m(a) goes linearly from --mag-min-margin at --mag-min-length to --mag-max-margin at
    --mag-max-length; a is kept in that range.  Output "mag_loss" is the mean of
    g(a) = 1 / a + a / max_length^2, with weight --mag-weight: it asks for long embeddings.
    Source: MagFace, arXiv 2103.06627, eq. 2 and 3; constants of its section 4.
    """

    mag_min_length: float
    mag_max_length: float
    mag_min_margin: float
    mag_max_margin: float
    mag_weight: float

    def faults(self) -> list[str]:
        faults = super().faults() + self.below(0, "mag_min_margin", "mag_weight")
        if not 0 < self.mag_min_length < self.mag_max_length:
            faults.append(
                f"--mag-min-length {self.mag_min_length} --mag-max-length {self.mag_max_length}: "
                "must ascend from above 0"
            )
        if not self.mag_min_margin <= self.mag_max_margin < 1.57:
            faults.append(
                f"--mag-min-margin {self.mag_min_margin} --mag-max-margin {self.mag_max_margin}: "
                "must ascend and stay below pi/2 radians"
            )
        return faults

    def changed_cosines(self, parts: Parts) -> mx.sym.Symbol:
        slope = (self.mag_max_margin - self.mag_min_margin) / (
            self.mag_max_length - self.mag_min_length
        )
        above = self.length(parts) - self.mag_min_length
        margin = (self.mag_min_margin + slope * above) * self.growth(parts)  # (N,)
        return with_target(parts, add_angle(parts.cosine, margin))

    def length(self, parts: Parts) -> mx.sym.Symbol:
        """Return the embeddings' lengths a, kept in the range, (N,)."""
        return mx.sym.clip(lengths(parts.embedding), self.mag_min_length, self.mag_max_length)

    def extra_losses(self, parts: Parts, logits: mx.sym.Symbol) -> list[mx.sym.Symbol]:
        a = self.length(parts)
        g = 1 / a + a / self.mag_max_length**2
        return [mx.sym.MakeLoss(mx.sym.mean(g), grad_scale=self.mag_weight, name="mag_loss")]

    def reports(self) -> list[Metric]:
        return [*super().reports(), mean_of("mag_loss")]

"""Circle loss in its classifier form, by name."""

from __future__ import annotations

from dataclasses import dataclass

from ..lazy_mxnet import mx
from .base import LOSSES
from .margin import MarginSoftmax, Parts, with_target


@LOSSES.register("circle")
@dataclass(frozen=True)
class Circle(MarginSoftmax):
    """Every cosine is weighted by how far it is from its optimum.

    Logits s a_p (c - (1 - m)) for the own class and s a_n (c - m) for the others, with the
    weights a_p = relu(1 + m - c) and a_n = relu(c + m), which get no gradient.  Softmax of
    these is the published pair form, log(1 + sum_n exp(s a_n (c_n - m)) exp(-s a_p (c - 1 + m))).
    For faces the paper takes s = 256, m = 0.25.
    Source: Circle Loss, arXiv 2002.10857, eq. 6 to 8.
    """

    margin_m: float

    def faults(self) -> list[str]:
        faults = super().faults()
        if not 0 <= self.margin_m <= 1:
            faults.append(f"--margin-m {self.margin_m}: here from 0 to 1, such as 0.25")
        return faults

    def changed_cosines(self, parts: Parts) -> mx.sym.Symbol:
        m = self.margin_m * self.growth(parts)  # (N,)
        own, others = parts.cosine, parts.cosines
        own_weight = mx.sym.BlockGrad(mx.sym.relu(1 + m - own))
        m_column = mx.sym.expand_dims(m, axis=1)
        weight = mx.sym.BlockGrad(mx.sym.relu(mx.sym.broadcast_add(others, m_column)))
        others = weight * mx.sym.broadcast_sub(others, m_column)
        return with_target(parts, own_weight * (own - (1 - m)), others)

"""Published initializers, one per group of families.

BatchNorm and bias get 1 and 0 by MXNet's naming rules, PReLU slopes 0.25 by the symbol.  The
classifier "fc7_weight" is part of the training symbol and falls under the same initializer.
"""

from __future__ import annotations

from ..lazy_mxnet import mx


def gaussian_out() -> mx.init.Initializer:
    """r* and y*: normal, variance 2 / fan-out (He et al., arXiv 1502.01852)."""
    return mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2)


def gaussian_in() -> mx.init.Initializer:
    """i*: normal, variance 2 / fan-in."""
    return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)


def uniform_in() -> mx.init.Initializer:
    """All others: uniform, half-width sqrt(2 / fan-in)."""
    return mx.init.Xavier(rnd_type="uniform", factor_type="in", magnitude=2)

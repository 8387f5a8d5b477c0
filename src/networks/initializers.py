"""Published initializers, one per group of families.

BatchNorm and bias get 1 and 0 by MXNet's naming rules, PReLU slopes 0.25 by the symbol.  The
classifier "fc7_weight" is part of the training symbol and falls under the same initializer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..lazy_mxnet import mx


@dataclass(frozen=True)
class Xavier:
    """MXNet's initializer of this name: called, it makes one; its options are known without MXNet.

    gaussian of variance magnitude / fan, or uniform of half-width sqrt(magnitude / fan).
    """

    rnd_type: str
    factor_type: str
    magnitude: float

    def __call__(self) -> mx.init.Initializer:
        return mx.init.Xavier(**asdict(self))


gaussian_out = Xavier("gaussian", "out", 2)  # r* and y*: He et al., arXiv 1502.01852
gaussian_in = Xavier("gaussian", "in", 2)  # i*
uniform_in = Xavier("uniform", "in", 2)  # all others

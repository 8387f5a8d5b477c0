"""The length of an update's gradients together, whatever types they have."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np

from ..lazy_mxnet import mx


def joint_norm(arrays: Sequence[mx.nd.NDArray]) -> float:
    """Return the L2 norm of all arrays together, on one device, as float32 computes it.

    A float16 is squared as float32: from 256 on its own square is infinite.  Where that of a
    float32 is, the largest value is taken out first: the norm is infinite only if a value is.
    """
    if not arrays:
        return 0.0
    squares = _squares(arrays)
    if math.isinf(squares):
        peak = max(float(mx.nd.max(mx.nd.abs(array)).asscalar()) for array in arrays)
        if math.isfinite(peak):
            return peak * _squares([array.astype("float32") / peak for array in arrays]) ** 0.5
    return squares**0.5


def _squares(arrays: Sequence[mx.nd.NDArray]) -> float:
    """Return the sum of all squares."""
    single = [array for array in arrays if array.dtype == np.float32]
    parts = [mx.nd.multi_sum_sq(*single, num_arrays=len(single))] if single else []
    for array in arrays:
        if array.dtype != np.float32:  # one copy at a time
            parts.append(mx.nd.multi_sum_sq(array.astype("float32"), num_arrays=1))
    return float(mx.nd.concat(*parts, dim=0).sum().asscalar())

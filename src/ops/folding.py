"""Fold BatchNorms into convolutions, and sums after them, for embedding with fixed parameters.

MXNet's oneDNN backend does it, but not to be trusted blindly.  MXNet 1.9.1 folds once and does
not notice new parameters; some graphs stop with "IsMKLDNNData" in the second pass; some compute
something else.  So the folded graph is bound only after it has given the embedding of the graph
it comes from, twice.
"""

from __future__ import annotations

from collections.abc import Mapping
import logging

import mxnet as mx
import numpy as np

from .channels_last import fix_weights
from .rewrite import Rewriter

BACKEND = "MKLDNN"
TOLERANCE = 1e-4  # of the largest value of the output; rounding makes about 2e-6

logger = logging.getLogger(__name__)

Params = Mapping[str, mx.nd.NDArray]


def fold_norms(
    symbol: mx.sym.Symbol,
    ctx: mx.Context,
    arg_params: Params,
    aux_params: Params,
    shapes: Mapping[str, tuple[int, ...]],
) -> mx.sym.Symbol:
    """Return the symbol with BatchNorms folded, or as it is where that cannot be trusted.

    For forward(is_train=False) on a CPU with these very parameters: others need a new
    executor.  shapes: of the inputs for the trial, best of one sample.  The order of arguments
    may change.
    """
    symbol = fix_weights(symbol)
    if ctx.device_type != "cpu" or not _may_fold(symbol):
        return symbol
    rng = np.random.RandomState(0)
    inputs = {name: rng.randint(0, 256, shape) for name, shape in shapes.items()}
    folded = symbol.get_backend_symbol(BACKEND)
    try:
        wanted = _outputs(symbol, ctx, arg_params, aux_params, inputs, passes=1)
        found = _outputs(folded, ctx, arg_params, aux_params, inputs, passes=2)
    except mx.MXNetError as error:
        logger.info("BatchNorms not folded: %s", str(error).strip().splitlines()[-1])
        return symbol
    distance = np.abs(found - wanted).max()
    if not distance <= TOLERANCE * np.abs(wanted).max():
        logger.info("BatchNorms not folded: the embedding would change by %.2g", distance)
        return symbol
    return folded


def _may_fold(symbol: mx.sym.Symbol) -> bool:
    """Tell whether there is something to fold and somebody to do it."""
    found = {node["op"] for node in Rewriter(symbol).old}
    ours = "arcface_batchnorm" in found  # plain.py was here
    return {"BatchNorm", "Convolution"} <= found and not ours and _has_backend()


def _has_backend() -> bool:
    return mx.runtime.Features().is_enabled(BACKEND)


def _outputs(symbol, ctx, arg_params, aux_params, inputs, *, passes) -> np.ndarray:
    """Return the first output of every pass, (passes, ...)."""
    shapes = {name: value.shape for name, value in inputs.items()}
    executor = symbol.simple_bind(ctx, grad_req="null", **shapes)
    executor.copy_params_from(dict(arg_params), dict(aux_params))
    data = {name: mx.nd.array(value, ctx) for name, value in inputs.items()}
    return np.stack([executor.forward(is_train=False, **data)[0].asnumpy() for _ in range(passes)])

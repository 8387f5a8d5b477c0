"""Half precision: the network in float16, the embedding and the loss in float32."""

from __future__ import annotations

from ..lazy_mxnet import mx
from .loss_scale import scaled_gradient


def half_precision(embedding: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return the network computing in float16 from "data" to "fc1", its output in float32.

    The gradient that comes back to it is multiplied by the input "loss_scale".

    Arguments keep their names; type inference makes those that the optimizer must keep in two
    precisions float16.  Batch normalisation keeps its own parameters in float32.
    """
    data = mx.sym.Cast(mx.sym.Variable("data"), dtype="float16", name="data_float16")
    single = mx.sym.Cast(embedding(data=data), dtype="float32", name="embedding_float32")
    return scaled_gradient(single)

"""The network as MXNet itself computes it, with its own operators: what others are held against."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from ..checkpoints.load import as_symbol
from ..checkpoints.network import StoredNetwork
from ..checkpoints.slices import refuse_empty_slices


def run_mxnet(network: StoredNetwork, batch: np.ndarray) -> list[np.ndarray]:
    """Return all outputs, in order, of images float32 (N, C, H, W), outside training, on the CPU.

    Raises ValueError if the network does not take such images.
    """
    symbol = as_symbol(network.graph)
    refuse_empty_slices(symbol, {"data": batch.shape}, network.graph.source)
    try:
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=batch.shape)
    except mx.MXNetError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"the network does not take images {batch.shape[1:]}: {reason}") from None
    for arrays in (executor.arg_dict, executor.aux_dict):
        for name, array in arrays.items():
            if name != "data":
                array[:] = network.parameters[name]
    outputs = executor.forward(is_train=False, data=mx.nd.array(batch))
    return [output.asnumpy() for output in outputs]

"""A small network that every script of this folder can run."""

import numpy as np
import pytest


@pytest.fixture
def save_network():
    """Return a function that saves a checkpoint which embeds images by a random projection."""

    from arcface_mxnet.checkpoints.load import save_checkpoint
    import mxnet as mx

    def save(prefix, number, seed=0, size=(8, 8)):
        data = mx.sym.Variable("data")
        symbol = mx.sym.FullyConnected((data - 127.5) / 128, num_hidden=16, name="fc1")
        rng = np.random.default_rng(seed)
        weight = mx.nd.array(rng.normal(size=(16, 3 * size[0] * size[1])))
        parameters = {"fc1_weight": weight, "fc1_bias": mx.nd.zeros(16)}
        save_checkpoint(str(prefix), number, symbol, parameters, {})
        return f"{prefix},{number}"

    return save

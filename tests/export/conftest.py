"""Small networks with parameters that leave no layer neutral."""

from arcface_mxnet.checkpoints.load import save_checkpoint
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.initial import initial_params
import mxnet as mx
import numpy as np
import pytest

SIZE = (112, 112)


@pytest.fixture(scope="session", name="initialised")
def initialised_fixture():
    """Return the function initialised(name, size, **options)."""
    return initialised


def initialised(name, size=SIZE, **options):
    """Return (symbol, arg_params, aux_params) of a network as it starts to train.

    The running statistics are random, because those of an untrained network are 0 and 1.
    """
    symbol = build_network(name, NetworkOptions(**options))
    mx.random.seed(5)
    shapes = {"data": (1, 3, *size)}
    arg_params, aux_params = initial_params(symbol, shapes, NETWORKS[name].initializer())
    rng = np.random.default_rng(5)
    for key, value in [*arg_params.items(), *aux_params.items()]:
        if key.endswith(("_gamma", "_beta", "_moving_mean", "_moving_var")):
            value += mx.nd.array(rng.uniform(-0.2, 0.2, value.shape))
    return symbol, arg_params, aux_params


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Return "prefix,number" of a training checkpoint: y1, D = 16, with a classifier of 7."""
    symbol, arg_params, aux_params = initialised("y1", emb_size=16, output="GDC")
    weight = mx.sym.var("fc7_weight")
    logits = mx.sym.FullyConnected(symbol, weight=weight, no_bias=True, num_hidden=7, name="fc7")
    arg_params["fc7_weight"] = mx.nd.random.normal(shape=(7, 16))
    prefix = str(tmp_path_factory.mktemp("model") / "y1")
    save_checkpoint(prefix, 3, mx.sym.SoftmaxOutput(logits, name="softmax"), arg_params, aux_params)
    return f"{prefix},3"


@pytest.fixture
def crops():
    """Return 3 images (N, 112, 112, 3), uint8 RGB: smooth, as photos are."""
    rng = np.random.default_rng(11)
    coarse = rng.integers(0, 256, (3, 7, 7, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)

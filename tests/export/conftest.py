"""Small networks with parameters that leave no layer neutral."""

from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.checkpoints import save_checkpoint
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
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, *size))
    args = dict(zip(symbol.list_arguments(), arg_shapes, strict=True))
    auxs = dict(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    del args["data"]
    rng = np.random.default_rng(5)
    mx.random.seed(5)
    initialize, attributes, arg_params = NETWORKS[name].initializer(), symbol.attr_dict(), {}
    for key, shape in args.items():
        arg_params[key] = mx.nd.zeros(shape)
        initialize(mx.init.InitDesc(key, attributes.get(key, {})), arg_params[key])
        if key.endswith(("_gamma", "_beta")):
            arg_params[key] += mx.nd.array(rng.uniform(-0.2, 0.2, shape))
    aux_params = {
        key: mx.nd.array(
            rng.uniform(0.5, 1.5, shape) if key.endswith("_var") else rng.normal(0, 0.1, shape)
        )
        for key, shape in auxs.items()
    }
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

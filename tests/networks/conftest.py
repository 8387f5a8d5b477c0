"""What tests of whole networks share."""

import arcface_mxnet  # noqa: F401  (makes MXNet importable)
import mxnet as mx
import numpy as np
import pytest


@pytest.fixture(scope="session")
def pictures():
    """pictures(side): two random pictures (2, 3, side, side), 0..255."""

    def make(side):
        return mx.nd.array(np.random.RandomState(3).uniform(0, 255, (2, 3, side, side)))

    return make


@pytest.fixture(scope="session")
def random_parameters():
    """random_parameters(symbol, side): (arg, aux) that keep the signal alive, all different."""

    def value(rng, name, shape):
        if name.endswith("_weight"):
            return rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5
        if name.endswith(("_beta", "_bias", "_moving_mean")):
            return rng.normal(size=shape) * 0.1
        return rng.uniform(0.2, 0.4 if "relu" in name else 1.2, shape)

    def make(symbol, side):
        rng = np.random.RandomState(4)
        arguments, _, states = symbol.infer_shape(data=(2, 3, side, side))

        def draw(names, shapes):
            pairs = zip(names, shapes, strict=True)
            return {n: mx.nd.array(value(rng, n, s)) for n, s in pairs if n != "data"}

        return (
            draw(symbol.list_arguments(), arguments),
            draw(symbol.list_auxiliary_states(), states),
        )

    return make


@pytest.fixture(scope="session")
def embedding():
    """embedding(symbol, arg, aux, pictures): the output as a numpy array."""

    def compute(symbol, arg_params, aux_params, data):
        executor = symbol.simple_bind(mx.cpu(), data=data.shape, grad_req="null")
        executor.copy_params_from(arg_params, aux_params)
        return executor.forward(is_train=False, data=data)[0].asnumpy()

    return compute

"""Half precision: which arrays are float16, and that updates keep float32 weights behind."""

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NetworkOptions, build_network
from arcface_mxnet.training.half import half_precision
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.loss_scale import LOSS_SCALE, scaled_parameters
from arcface_mxnet.training.optimizer import SGD
import mxnet as mx
import numpy as np
import pytest


@pytest.mark.parametrize("name", ["r18", "y1", "m1"])
def test_types_of_the_graph(name):
    symbol = half_precision(build_network(name, NetworkOptions()))
    types, outputs, states = symbol.infer_type(data="float32")
    by_name = dict(zip(symbol.list_arguments(), types, strict=True))
    assert by_name["data"] == outputs[0] == np.float32
    assert by_name["pre_fc1_weight"] == np.float16
    assert all(t == np.float16 for n, t in by_name.items() if "conv" in n and n.endswith("weight"))
    assert all(t == np.float32 for n, t in by_name.items() if n.endswith("_beta"))
    assert set(states) == {np.float32}
    plain = set(build_network(name, NetworkOptions()).list_arguments())
    assert by_name.keys() == plain | {LOSS_SCALE}
    assert by_name[LOSS_SCALE] == np.float32
    assert scaled_parameters(symbol) == plain - {"data"}


def test_a_cpu_is_refused(options):
    with pytest.raises(ValueError, match="--dtype float16 needs a GPU"):
        train(TrainConfig(**options, dtype="float16"))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_small_updates_are_not_lost(momentum):
    weights = {"w": mx.nd.ones((3,), dtype="float16"), "b": mx.nd.ones((2,))}
    gradients = {name: mx.nd.ones_like(weight) for name, weight in weights.items()}
    bound = SGD(momentum, 0.0, {}).bound(weights, gradients, rescale_grad=1.0)
    bound.set_masters({"w": mx.nd.ones((3,))})
    for _ in range(20):
        bound.update(lr=1e-4)  # below half the step between float16 numbers at 1
    single = SGD(momentum, 0.0, {}).bound(
        {"w": mx.nd.ones((3,))}, {"w": mx.nd.ones((3,))}, rescale_grad=1.0
    )
    for _ in range(20):
        single.update(lr=1e-4)
    expected = single._weights["w"].asnumpy()
    np.testing.assert_allclose(bound.masters["w"].asnumpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(weights["w"].asnumpy(), expected.astype(np.float16))
    np.testing.assert_allclose(weights["b"].asnumpy(), expected[:2], rtol=1e-6)

"""Our dropout: how many values, how they are scaled, drawn again, and where it is used."""

import json

from arcface_mxnet.ops import fast_graph
from arcface_mxnet.ops.library import load_operators
import mxnet as mx
import numpy as np
import pytest

CPU = mx.cpu()
SHAPE = (4, 64, 28, 28)


@pytest.fixture(scope="module", autouse=True)
def operators():
    assert load_operators()


def network(p=0.2, **attrs):
    """A layer of a DenseNet: 1x1, Dropout."""
    body = mx.sym.Convolution(
        mx.sym.Variable("data"), num_filter=8, kernel=(1, 1), no_bias=True, name="conv"
    )
    return mx.sym.Dropout(body, p=p, name="drop", **attrs) * 1


def ops_of(symbol):
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"]]


def dropout(p=0.2):
    return mx.sym.arcface_dropout(mx.sym.Variable("data"), p=p)[0]


def one_pass(seed, p=0.2, ctx=CPU):
    """Return the output for ones, and the gradient of its sum."""
    executor = dropout(p).simple_bind(ctx, data=SHAPE)
    executor.arg_dict["data"][:] = 1
    mx.random.seed(seed)
    (output,) = executor.forward(is_train=True)
    executor.backward(mx.nd.ones(SHAPE, ctx))
    return output.asnumpy(), executor.grad_dict["data"].asnumpy()


@pytest.mark.parametrize("p", [0.2, 0.4])
def test_share_and_scale(p):
    output, gradient = one_pass(0, p)
    assert set(np.unique(output)) == {0, np.float32(1) / np.float32(1 - p)}
    assert abs((output == 0).mean() - p) < 5 * (p * (1 - p) / output.size) ** 0.5
    np.testing.assert_array_equal(gradient, output)


def test_the_seed_decides():
    first, again, other = (one_pass(seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    # Independent draws agree with probability 0.2^2 + 0.8^2.
    assert abs((first == other).mean() - 0.68) < 0.01
    np.testing.assert_array_equal(one_pass(5, ctx=mx.cpu(1))[0], one_pass(5, ctx=mx.cpu(1))[0])


def test_each_pass_draws_anew():
    executor = dropout().simple_bind(CPU, data=SHAPE)
    executor.arg_dict["data"][:] = 1
    first, second = (executor.forward(is_train=True)[0].asnumpy().copy() for _ in range(2))
    assert abs((first == second).mean() - 0.68) < 0.01


@pytest.mark.parametrize("lag", [1, 2, 28, 784, 64 * 784])
def test_values_are_dropped_independently(lag):
    dropped = (one_pass(1)[0].ravel() == 0) - 0.2
    correlation = (dropped[:-lag] * dropped[lag:]).mean() / 0.16
    assert abs(correlation) < 5 / dropped.size**0.5


def test_of_many_seeds_each_value_is_dropped_alike():
    dropped = np.mean([one_pass(seed)[0][0, 0] == 0 for seed in range(400)], axis=0)
    assert np.abs(dropped - 0.2).max() < 5 * (0.16 / 400) ** 0.5


def fast(symbol, training):
    return fast_graph(symbol, CPU, {"data": SHAPE}, training=training)


def test_where_it_is_used():
    assert "arcface_dropout" in ops_of(fast(network(), True))
    for training in (False, None):
        assert "Dropout" in ops_of(fast(network(), training))
    for other in (network(mode="always"), network(axes=(1,)), network(0.0)):
        assert "Dropout" in ops_of(fast(other, True))
    head = network().get_internals()["drop_output"]
    assert fast(head, True).list_outputs() == ["drop_output"]

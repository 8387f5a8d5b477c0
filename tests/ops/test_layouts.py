"""Copies after BatchNorms whose data and gradient have different layouts."""

import json

from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.ops import layouts
from arcface_mxnet.ops.rewrite import Graph
import mxnet as mx
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def avx512(monkeypatch):
    monkeypatch.setattr(layouts, "_has_avx512", lambda: True)


def separated(symbol, shape=(2, 3, 9, 9)):
    return layouts.separate_layouts(Graph(symbol, {"data": shape})).symbol


def copies(symbol, shape=(2, 3, 9, 9)):
    nodes = json.loads(separated(symbol, shape).tojson())["nodes"]
    return [node["name"] for node in nodes if node["op"] == "slice_axis"]


def convolution(data, name, filters, groups=1):
    return mx.sym.Convolution(
        data, num_filter=filters, kernel=(1, 1), num_group=groups, no_bias=True, name=name
    )


def between(first, second, channels=32, groups=1):
    """Return convolution, BatchNorm, ReLU, convolution with so many filters each."""
    body = convolution(convolution(mx.sym.Variable("data"), "in", channels), "a", first)
    body = mx.sym.Activation(mx.sym.BatchNorm(body, name="bn"), act_type="relu", name="relu")
    return convolution(body, "b", second, groups)


@pytest.mark.parametrize(
    ("symbol", "torn"),
    [
        (between(64, 64), False),
        (between(64, 24), True),  # 24 channels: blocks of 8
        (between(64, 64, channels=24), True),
        (between(24, 24), False),  # both in blocks of 8
        (between(64, 64, groups=8), True),  # 8 channels in a group
        (between(64, 64, groups=4), False),  # 16
        (between(64, 64, groups=64), False),  # depthwise
    ],
)
def test_where_a_copy_goes(symbol, torn):
    assert copies(symbol) == (["bn"] if torn else [])


def grouped(channels, groups):
    """Return a convolution of groups, BatchNorm, ReLU, convolution."""
    body = convolution(mx.sym.Variable("data"), "in", channels)
    body = convolution(body, "a", channels, groups)
    body = mx.sym.Activation(mx.sym.BatchNorm(body, name="bn"), act_type="relu", name="relu")
    return convolution(body, "b", channels)


@pytest.mark.parametrize(
    ("channels", "groups", "names"),
    [
        (128, 32, ["bn_plain", "bn"]),  # 4 channels in a group: DPN-68
        (384, 32, ["bn_plain", "bn"]),  # 12: the second stage of DPN-92
        (256, 32, ["bn"]),  # 8
        (96, 32, ["bn"]),  # 3: no blocks
        (512, 32, []),  # 16
        (32, 32, []),  # depthwise
    ],
)
def test_groups_of_four_channels_are_copied_twice(channels, groups, names):
    assert copies(grouped(channels, groups)) == names


def test_other_graphs_come_back_themselves():
    symbol = between(64, 64)
    assert separated(symbol) is symbol


def test_processors_without_avx512(monkeypatch):
    monkeypatch.setattr(layouts, "_has_avx512", lambda: False)
    symbol = between(64, 24)
    assert separated(symbol) is symbol


@pytest.mark.parametrize("symbol", [between(64, 24), grouped(24, 6)])
def test_same_results(symbol):
    rng = np.random.RandomState(0)
    shapes = dict(
        zip(symbol.list_arguments(), symbol.infer_shape(data=(2, 3, 9, 9))[0], strict=True)
    )
    values = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    gradient = mx.nd.array(rng.normal(size=(2, 24, 9, 9)))
    found = []
    for graph in (symbol, separated(symbol)):
        executor = graph.simple_bind(mx.cpu(), data=(2, 3, 9, 9), grad_req="write")
        for name, value in values.items():
            executor.arg_dict[name][:] = value
        executor.forward(is_train=True)
        executor.backward(gradient)
        found.append((executor.outputs[0].asnumpy(), executor.grad_dict, executor.aux_dict))
    (out, grads, states), (our_out, our_grads, our_states) = found
    np.testing.assert_array_equal(our_out, out)
    for name in grads:
        np.testing.assert_allclose(
            our_grads[name].asnumpy(), grads[name].asnumpy(), rtol=1e-3, atol=1e-3, err_msg=name
        )
    for name in states:
        np.testing.assert_array_equal(our_states[name].asnumpy(), states[name].asnumpy())


@pytest.mark.parametrize("name", NETWORKS.names())
def test_networks(name):
    """m2, p* and i2 have such BatchNorms; everything else is left alone."""
    symbol = build_network(name, NETWORKS[name].published)
    assert bool(copies(symbol, (1, 3, 112, 112))) == (name[0] in "pi" or name == "m2")


def test_those_of_mobilenet_v2():
    """Found by a profile: 0.3 to 0.5 s each at batch 4, all others below 0.01 s."""
    assert copies(build_network("m2", NetworkOptions()), (1, 3, 112, 112)) == [
        "b2_0_conv_dw_batchnorm",
        "b2_1_conv_sep_batchnorm",
        "b2_1_conv_dw_batchnorm",
        "b3_0_conv_sep_batchnorm",
    ]

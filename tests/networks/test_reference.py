"""Networks against a computation from their description alone, and against their own file.

Each function here takes parameters by published name and pictures (N, 3, H, W), raw 0..255,
and returns the embedding, one operator at a time, without our builders.
"""

import arcface_mxnet  # noqa: F401  (makes MXNet importable)
from arcface_mxnet.networks import NetworkOptions, build_network
import mxnet as mx
from mxnet import nd
import numpy as np
import pytest


class Steps:
    """The layers of a published network on given parameters, inference only."""

    def __init__(self, params):
        self.params = params

    def conv(self, x, name, stride=1, groups=1, pad=None):
        weight, bias = self.params[f"{name}_weight"], self.params.get(f"{name}_bias")
        size = weight.shape[2]
        pad = size // 2 if pad is None else pad
        return nd.Convolution(
            x,
            weight,
            bias,
            num_filter=weight.shape[0],
            kernel=(size, size),
            stride=(stride, stride),
            pad=(pad, pad),
            num_group=groups,
            no_bias=bias is None,
        )

    def norm(self, x, name, eps, fixed=False):
        def shaped(key):
            return self.params[f"{name}_{key}"].reshape((1, -1) + (1,) * (x.ndim - 2))

        x = (x - shaped("moving_mean")) / nd.sqrt(shaped("moving_var") + eps)
        return (x if fixed else x * shaped("gamma")) + shaped("beta")

    def act(self, x, name):
        slope = self.params[f"{name}_gamma"].reshape((1, -1) + (1,) * (x.ndim - 2))
        return nd.where(x > 0, x, x * slope)

    def dense(self, x, name):
        x = x.reshape((x.shape[0], -1))
        return nd.dot(x, self.params[f"{name}_weight"].T) + self.params[f"{name}_bias"]

    def head_e(self, x):
        dense = self.dense(self.norm(x, "bn1", 2e-5), "pre_fc1")
        return self.norm(dense, "fc1", 2e-5, fixed=True)


def scaled(x):
    return (x - 127.5) * 0.0078125


def resnet_unit(net, x, name, stride, project):
    y = net.norm(x, f"{name}_bn1", 2e-5)
    y = net.norm(net.conv(y, f"{name}_conv1"), f"{name}_bn2", 2e-5)
    y = net.conv(net.act(y, f"{name}_relu1"), f"{name}_conv2", stride)
    y = net.norm(y, f"{name}_bn3", 2e-5)
    if project:
        x = net.norm(net.conv(x, f"{name}_conv1sc", stride), f"{name}_sc", 2e-5)
    return y + x


def stem(net, x):
    return net.act(net.norm(net.conv(scaled(x), "conv0"), "bn0", 2e-5), "relu0")


def r18(params, x):
    net = Steps(params)
    x = stem(net, x)
    for stage in (1, 2, 3, 4):
        for unit in (1, 2):
            first = unit == 1
            x = resnet_unit(net, x, f"stage{stage}_unit{unit}", 2 if first else 1, first)
    return net.head_e(x)


def mobile(net, x, name, stride=1, groups=1, fixed=False, act=True):
    x = net.conv(x, f"{name}_conv2d", stride, groups)
    x = net.norm(x, f"{name}_batchnorm", 1e-3, fixed)
    return net.act(x, f"{name}_relu") if act else x


def m05(params, x):
    net = Steps(params)
    x = mobile(net, scaled(x), "conv_1", fixed=True)
    for k in range(2, 15):
        stride = 2 if k in (3, 5, 7, 13) else 1
        x = mobile(net, x, f"conv_{k}_dw", stride, groups=x.shape[1], fixed=True)
        x = mobile(net, x, f"conv_{k}", fixed=True)
    return net.head_e(x)


def y1_gdc(params, x):
    net = Steps(params)

    def inverted(x, name, stride):
        x = mobile(net, x, f"{name}_conv_sep")
        x = mobile(net, x, f"{name}_conv_dw", stride, groups=x.shape[1])
        return mobile(net, x, f"{name}_conv_proj", act=False)

    x = mobile(net, scaled(x), "conv_1", 2)
    x = mobile(net, x, "conv_2_dw", groups=64)
    for reduction, residual, blocks in (("23", 3, 4), ("34", 4, 6), ("45", 5, 2)):
        x = inverted(x, f"dconv_{reduction}", 2)
        for block in range(blocks):
            x = x + inverted(x, f"res_{residual}_block{block}", 1)
    x = mobile(net, x, "conv_6sep")
    x = net.conv(x, "conv_6dw7_7_conv2d", groups=512, pad=0)
    x = net.norm(x, "conv_6dw7_7_batchnorm", 1e-3)
    return net.norm(net.dense(x, "pre_fc1"), "fc1", 2e-5, fixed=True)


def s20(params, x):
    net = Steps(params)
    x = scaled(x)
    for stage, pairs in enumerate((1, 2, 4, 1), start=1):
        x = net.act(net.conv(x, f"conv{stage}_1", 2), f"relu{stage}_1")
        for k in range(2, 2 + 2 * pairs, 2):
            y = net.act(net.conv(x, f"conv{stage}_{k}"), f"relu{stage}_{k}")
            x = x + net.act(net.conv(y, f"conv{stage}_{k + 1}"), f"relu{stage}_{k + 1}")
    return net.dense(x, "fc1")


def d121(params, x):
    net = Steps(params)
    x = resnet_unit(net, stem(net, x), "head", 2, True)
    for stage, units in enumerate((6, 12, 24, 16), start=1):
        for unit in range(1, units + 1):
            name = f"DBstage{stage}_unit{unit}"
            y = net.conv(nd.relu(net.norm(x, f"{name}_bn1", 2e-5)), f"{name}_conv1")
            y = net.conv(nd.relu(net.norm(y, f"{name}_bn2", 2e-5)), f"{name}_conv2")
            x = nd.concat(x, y, dim=1)
        if stage < 4:
            name = f"TBstage{stage}"
            x = net.conv(nd.relu(net.norm(x, f"{name}_bn1", 2e-5)), f"{name}_conv1")
            x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg")
    return net.head_e(x)


def p68(params, x):
    net = Steps(params)

    def step(x, name, stride=1, groups=1):
        x = nd.relu(net.norm(x, f"{name}__bn__bn", 1e-3))
        return net.conv(x, f"{name}__conv", stride, groups)

    x = resnet_unit(net, stem(net, x), "head", 2, True)
    left = right = None
    for stage, units in enumerate((3, 4, 12, 3)):
        size = 256 * 2**stage
        for unit in range(1, units + 1):
            name = f"conv{stage + 2}_x__{unit}"
            x = x if left is None else nd.concat(left, right, dim=1)
            stride = 2 if unit == 1 and stage > 0 else 1
            if unit == 1:
                both = step(x, f"{name}_c1x1-w(s/{stride})", stride)
                left, right = both[:, :size], both[:, size:]
            y = step(step(x, f"{name}_c1x1-a"), f"{name}_c3x3-b", stride, groups=32)
            y = step(y, f"{name}_c1x1-c")
            left, right = left + y[:, :size], nd.concat(right, y[:, size:], dim=1)
    return net.head_e(nd.concat(left, right, dim=1))


# name, options, picture side, the computation from the description
NETWORKS = [
    ("r18", {}, 32, r18),
    ("m05", {}, 32, m05),
    ("y1", {"output": "GDC"}, 112, y1_gdc),
    ("s20", {}, 32, s20),
    ("d121", {}, 32, d121),
    ("p68", {}, 32, p68),
]


@pytest.mark.parametrize(("name", "options", "side", "described"), NETWORKS)
def test_file_builder_and_description_agree(
    name, options, side, described, tmp_path, random_parameters, embedding, pictures
):
    options = NetworkOptions(emb_size=16, **options)
    symbol = build_network(name, options)
    args, states = random_parameters(symbol, side)
    mx.model.save_checkpoint(str(tmp_path / "model"), 0, symbol, args, states)
    saved, saved_args, saved_states = mx.model.load_checkpoint(str(tmp_path / "model"), 0)

    data = pictures(side)
    ours = embedding(build_network(name, options), saved_args, saved_states, data)
    np.testing.assert_array_equal(ours, embedding(saved, saved_args, saved_states, data))
    wanted = described({**args, **states}, data).asnumpy()
    assert ours.shape == (2, 16)
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())

"""Inception-ResNet-v2: `i2`.  Source: arXiv 1602.07261.

As published all layers are numbered: convolution0, batchnorm0 and so on; every convolution has
a bias, every gamma stays at 1, and the first max pool of the paper is left out.
"""

from __future__ import annotations

from itertools import count

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .blocks import DEFAULT_EPS, WORKSPACE, add, batch_norm, scaled_data
from .heads import add_head
from .initializers import gaussian_in

LAST = 1536
SEVEN_CHANNELS = 129  # as published: the paper says 128


class _Layers:
    """Layers by running number."""

    def __init__(self):
        self._number = count()
        self._extra = count()

    def conv(self, data, filters, size, *, stride=1, pad=None, act=True):
        """Return convolution, BatchNorm and ReLU; size (height, width); pad None keeps the size."""
        number = next(self._number)
        pad = (size[0] // 2, size[1] // 2) if pad is None else pad
        body = mx.sym.Convolution(
            data,
            num_filter=filters,
            kernel=size,
            stride=(stride, stride),
            pad=pad,
            workspace=WORKSPACE,
            name=f"convolution{number}",
        )
        body = batch_norm(body, f"batchnorm{number}", eps=DEFAULT_EPS, fix_gamma=True)
        return self.relu(body) if act else body

    def tower(self, data, *steps):
        """Return convolutions in a row; each step is (filters, size)."""
        for filters, size in steps:
            data = self.conv(data, filters, size)
        return data

    def relu(self, data):
        return mx.sym.Activation(data, act_type="relu", name=f"relu{next(self._extra)}")

    def concat(self, *parts):
        return mx.sym.Concat(*parts, name=f"concat{next(self._extra)}")

    def pool(self, data, kind, stride, pad):
        return mx.sym.Pooling(
            data,
            kernel=(3, 3),
            stride=(stride, stride),
            pad=(pad, pad),
            pool_type=kind,
            name=f"pool{next(self._extra)}",
        )

    def residual(self, data, mixed, channels, scale, act=True):
        """Return data + scale * (1x1 of mixed), then ReLU."""
        number = next(self._extra)
        out = self.conv(mixed, channels, (1, 1), act=False)
        with mx.name.Prefix(f"scale{number}"):  # own counters: the same names in every build
            out = out * scale
        body = add(data, out, f"plus{number}")
        return self.relu(body) if act else body


def _stem(net, data, stride):
    """Return (N, 320, ...); convolutions and pools without padding shrink the picture."""
    none = (0, 0)
    body = net.conv(data, 32, (3, 3), stride=stride, pad=none)
    body = net.conv(body, 32, (3, 3), pad=none)
    body = net.conv(body, 64, (3, 3))
    body = net.conv(body, 80, (1, 1))
    body = net.conv(body, 192, (3, 3), pad=none)
    body = net.pool(body, "max", 2, 0)
    return net.concat(
        net.conv(body, 96, (1, 1)),
        net.tower(body, (48, (1, 1)), (64, (5, 5))),
        net.tower(body, (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
        net.conv(net.pool(body, "avg", 1, 1), 64, (1, 1)),
    )


def _block35(net, data):
    mixed = net.concat(
        net.conv(data, 32, (1, 1)),
        net.tower(data, (32, (1, 1)), (32, (3, 3))),
        net.tower(data, (32, (1, 1)), (48, (3, 3)), (64, (3, 3))),
    )
    return net.residual(data, mixed, 320, 0.17)


def _block17(net, data):
    mixed = net.concat(
        net.conv(data, 192, (1, 1)),
        net.tower(data, (SEVEN_CHANNELS, (1, 1)), (160, (1, 7)), (192, (7, 1))),
    )
    return net.residual(data, mixed, 1088, 0.1)


def _block8(net, data, act=True):
    mixed = net.concat(
        net.conv(data, 192, (1, 1)),
        net.tower(data, (192, (1, 1)), (224, (1, 3)), (256, (3, 1))),
    )
    return net.residual(data, mixed, 2080, 0.2, act)


def _reduce(net, data, *towers):
    """Return the towers, each ending in a 3x3 of stride 2 of so many filters, and a pool."""
    parts = []
    for *steps, filters in towers:
        body = net.tower(data, *steps)
        parts.append(net.conv(body, filters, (3, 3), stride=2, pad=(0, 0)))
    return net.concat(*parts, net.pool(data, "max", 2, 0))


def build_inception_resnet(options: NetworkOptions) -> mx.sym.Symbol:
    """Return an Inception-ResNet-v2; input 1 keeps the size in the first layer, 0 halves it."""
    if options.input not in (0, 1):
        raise ValueError(f"--version-input {options.input}: Inception-ResNet has 0 and 1")
    net = _Layers()
    body = _stem(net, scaled_data(), stride=1 if options.input == 1 else 2)
    for _ in range(10):
        body = _block35(net, body)
    body = _reduce(net, body, (384,), ((256, (1, 1)), (256, (3, 3)), 384))
    for _ in range(20):
        body = _block17(net, body)
    body = _reduce(
        net,
        body,
        ((256, (1, 1)), 384),
        ((256, (1, 1)), 288),
        ((256, (1, 1)), (288, (3, 3)), 320),
    )
    for _ in range(9):
        body = _block8(net, body)
    body = _block8(net, body, act=False)
    return add_head(net.conv(body, LAST, (1, 1)), options, LAST)


NETWORKS.register("i2")(
    Network(
        build=build_inception_resnet,
        initializer=gaussian_in,
        uses=frozenset({"emb_size", "input", "output", "act"}),
    )
)

"""DenseNet: `d121`, `d161`, `d169`, `d201`.  Source: arXiv 1608.06993.

The stem of the recipe in place of the ImageNet one, so that 112x112 ends in 7x7.  ReLU in the
dense blocks, as published; the option act is for the stem.
"""

from __future__ import annotations

from functools import partial

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .blocks import activation, batch_norm, convolution
from .heads import add_head
from .initializers import uniform_in
from .stems import reducing_stem

# Units per stage, and growth: the channels that every unit adds.
DEPTHS = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
}
STEM_LIMIT = 64  # channels of the stem: twice the growth, at most this
BOTTLENECK = 4  # channels of the 1x1, in multiples of the growth
DROPOUT = 0.2  # after every convolution of the blocks


def _conv(data, name, number, filters, **more):
    body = activation(batch_norm(data, f"{name}_bn{number}"), f"{name}_relu{number}", "relu")
    body = convolution(body, f"{name}_conv{number}", filters, **more)
    return mx.sym.Dropout(body, p=DROPOUT, name=f"{name}_dp{number}")


def _dense_block(data, stage, units, growth):
    for number in range(1, units + 1):
        name = f"DBstage{stage}_unit{number}"
        new = _conv(data, name, 1, BOTTLENECK * growth)
        new = _conv(new, name, 2, growth, kernel=(3, 3), pad=(1, 1))
        data = mx.sym.Concat(data, new, name=f"{name}_concat")
    return data


def _transition(data, stage, filters):
    """Return `filters` channels at half the size."""
    name = f"TBstage{stage}"
    return mx.sym.Pooling(
        _conv(data, name, 1, filters),
        kernel=(2, 2),
        stride=(2, 2),
        pool_type="avg",
        name=f"{name}_pool1",
    )


def build_densenet(units: tuple[int, ...], growth: int, options: NetworkOptions) -> mx.sym.Symbol:
    """Return a DenseNet with these units per stage."""
    body = reducing_stem(options, min(2 * growth, STEM_LIMIT))
    # As published: the count starts at twice the growth where the stem gives fewer (d161), so
    # its transitions keep a little more than half of the channels.
    channels = 2 * growth
    for stage, count in enumerate(units, start=1):
        body = _dense_block(body, stage, count, growth)
        channels += count * growth
        if stage < len(units):
            channels //= 2
            body = _transition(body, stage, channels)
    return add_head(body, options, channels)


for _depth, (_units, _growth) in DEPTHS.items():
    NETWORKS.register(f"d{_depth}")(
        Network(
            build=partial(build_densenet, _units, _growth),
            initializer=uniform_in,
            uses=frozenset({"emb_size", "output", "act"}),
        )
    )

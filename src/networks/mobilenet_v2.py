"""MobileNet v2: `m2`.  Source: arXiv 1801.04381.

As published it came from a framework that made up its parameter names anew in every process,
so published checkpoints fit only their own symbol file.  The names here are ours; shapes,
order and epsilon are the published ones.  The stem keeps 112x112 and the fourth stage has
stride 1, so the last feature map is 7x7.
"""

from __future__ import annotations

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .blocks import add, conv_block, scaled_data
from .heads import add_head
from .initializers import uniform_in

STEM = 32
LAST = 1280
EPS = 1e-5  # BatchNorm epsilon of that framework, Gluon; the head keeps its own

# Per stage: expansion, channels, units, stride of the first unit.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 1),
    (6, 96, 3, 2),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _block(data, name, filters, act="relu", **more):
    return conv_block(data, name, filters, act=act, eps=EPS, **more)


def _unit(data, name, wide, filters, stride, is_first):
    """Return 1x1, depthwise 3x3, linear 1x1 on a shortcut, which a unit of stride 2 has not.

    The first unit of a stage, where the channels change, carries its input over by a 1x1.
    """
    body = _block(data, f"{name}_conv_sep", wide)
    body = _block(
        body,
        f"{name}_conv_dw",
        wide,
        kernel=(3, 3),
        stride=(stride, stride),
        pad=(1, 1),
        num_group=wide,
    )
    body = _block(body, f"{name}_conv_proj", filters, act=None)
    if stride > 1:
        return body
    shortcut = _block(data, f"{name}_conv_res", filters) if is_first else data
    return add(body, shortcut, f"{name}_plus")


def build_mobilenet_v2(options: NetworkOptions) -> mx.sym.Symbol:
    """Return a MobileNet v2 of width 1."""
    body = _block(scaled_data(), "b0", STEM, kernel=(3, 3), pad=(1, 1))
    channels = STEM
    for stage, (expansion, filters, units, stride) in enumerate(STAGES, start=1):
        # As published: repeats expand from the channels of the stage before, not their own.
        wide = channels * expansion
        for number in range(units):
            is_first = number == 0
            step = stride if is_first else 1
            body = _unit(body, f"b{stage}_{number}", wide, filters, step, is_first)
        channels = filters
    return add_head(_block(body, "conv_last", LAST), options, LAST)


NETWORKS.register("m2")(
    Network(build=build_mobilenet_v2, initializer=uniform_in, uses=frozenset({"emb_size"}))
)

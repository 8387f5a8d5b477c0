"""MobileFaceNet: `y1`, and the wider `y2`.  Source: arXiv 1804.07573.

Published with the head GDC; the option's default, E, gives a network of 4.1 M parameters.
"""

from __future__ import annotations

from functools import partial

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .blocks import add, conv_block, scaled_data
from .heads import add_head
from .initializers import gaussian_out

USES = frozenset({"emb_size", "output", "act", "bn_mom"})
LAST_CHANNELS = 512

# Residual blocks after the first convolution and after each of the three reductions.  y1 has
# a depthwise convolution in place of the first ones.
BLOCKS = {"y1": (0, 4, 6, 2), "y2": (2, 8, 16, 4)}
PUBLISHED_SIZE = {"y1": 128, "y2": 256}


def _inverted(data, name, expanded, filters, stride, options):
    """Return 1x1 to expanded channels, depthwise 3x3, linear 1x1 to filters."""
    common = {"act": options.act, "momentum": options.bn_mom}
    body = conv_block(data, f"{name}_conv_sep", expanded, **common)
    body = conv_block(
        body,
        f"{name}_conv_dw",
        expanded,
        kernel=(3, 3),
        stride=(stride, stride),
        pad=(1, 1),
        num_group=expanded,
        **common,
    )
    return conv_block(body, f"{name}_conv_proj", filters, act=None, momentum=options.bn_mom)


def _residuals(data, name, count, expanded, filters, options):
    for number in range(count):
        block = f"{name}_block{number}"
        data = add(_inverted(data, block, expanded, filters, 1, options), data, f"{block}_plus")
    return data


def build_mobilefacenet(blocks: tuple[int, ...], options: NetworkOptions) -> mx.sym.Symbol:
    """Return a MobileFaceNet; blocks as in BLOCKS."""
    common = {"act": options.act, "momentum": options.bn_mom, "kernel": (3, 3), "pad": (1, 1)}
    body = conv_block(scaled_data(), "conv_1", 64, stride=(2, 2), **common)
    if blocks[0]:
        body = _residuals(body, "res_2", blocks[0], 64, 64, options)
    else:
        body = conv_block(body, "conv_2_dw", 64, num_group=64, **common)
    body = _inverted(body, "dconv_23", 128, 64, 2, options)
    body = _residuals(body, "res_3", blocks[1], 128, 64, options)
    body = _inverted(body, "dconv_34", 256, 128, 2, options)
    body = _residuals(body, "res_4", blocks[2], 256, 128, options)
    body = _inverted(body, "dconv_45", 512, 128, 2, options)
    body = _residuals(body, "res_5", blocks[3], 256, 128, options)
    body = conv_block(body, "conv_6sep", LAST_CHANNELS, act=options.act, momentum=options.bn_mom)
    return add_head(body, options, LAST_CHANNELS)


for _name, _blocks in BLOCKS.items():
    NETWORKS.register(_name)(
        Network(
            build=partial(build_mobilefacenet, _blocks),
            initializer=gaussian_out,
            uses=USES,
            published=NetworkOptions(emb_size=PUBLISHED_SIZE[_name], output="GDC"),
        )
    )

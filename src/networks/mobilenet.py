"""MobileNet v1: `m1`, `m05` with half the channels.  Source: arXiv 1704.04861.

The stem keeps 112x112 (input 1), so the last feature map is 7x7.
"""

from __future__ import annotations

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .blocks import conv_block, scaled_data
from .heads import add_head
from .initializers import uniform_in

BASE = 32  # channels of the first convolution at multiplier 1

# Channels of conv_2 to conv_14 in multiples of the base.
MULTIPLES = (2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32)
REDUCING = frozenset({3, 5, 7, 13})  # the depthwise convolutions of stride 2

USES = frozenset({"emb_size", "input", "output", "act"})


def build_mobilenet(options: NetworkOptions, multiplier: float) -> mx.sym.Symbol:
    """Return a MobileNet v1 with int(32 * multiplier) channels after the first layer.

    input 0 halves the picture in the first layer as on ImageNet, 1 does not.
    Raises ValueError for another input, and for a multiplier that leaves no channel.
    """
    base = int(BASE * multiplier)
    if base < 1:
        raise ValueError(f"--version-multiplier {multiplier}: give at least {1 / BASE} (1 channel)")
    if options.input not in (0, 1):
        raise ValueError(f"--version-input {options.input}: MobileNet has 0 and 1")
    # As published every gamma stays at 1.
    common = {"act": options.act, "fix_gamma": True}
    stride = (2, 2) if options.input == 0 else (1, 1)
    body = conv_block(
        scaled_data(), "conv_1", base, kernel=(3, 3), stride=stride, pad=(1, 1), **common
    )
    channels = base
    for k, multiple in enumerate(MULTIPLES, start=2):
        stride = (2, 2) if k in REDUCING else (1, 1)
        body = conv_block(
            body,
            f"conv_{k}_dw",
            channels,
            kernel=(3, 3),
            stride=stride,
            pad=(1, 1),
            num_group=channels,
            **common,
        )
        channels = base * multiple
        body = conv_block(body, f"conv_{k}", channels, **common)
    return add_head(body, options, channels)


NETWORKS.register("m1")(
    Network(
        build=lambda options: build_mobilenet(options, options.multiplier),
        initializer=uniform_in,
        uses=USES | {"multiplier"},
    )
)
NETWORKS.register("m05")(
    Network(
        build=lambda options: build_mobilenet(options, 0.5),
        initializer=uniform_in,
        uses=USES,
        published=NetworkOptions(emb_size=256, output="GDC"),
    )
)

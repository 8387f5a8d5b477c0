"""LResNet: `rN`, the residual networks of the recipe.

A published model name [L]ResNet{N}{head}-IR says: L = stem 1, which keeps 112x112; IR = unit
3.  Source of the units: He et al., arXiv 1512.03385 (1), 1603.05027 (2); ArcFace, arXiv
1801.07698 (3); ResNeXt, arXiv 1611.05431 (3_x).
"""

from __future__ import annotations

from functools import partial

import mxnet as mx

from .base import NETWORKS, Network, NetworkOptions
from .blocks import activation, batch_norm, convolution, scaled
from .heads import add_head
from .initializers import gaussian_out
from .units import UNITS

BASIC = (64, 64, 128, 256, 512)  # channels of the stem and of the four stages
BOTTLENECK = (64, 256, 512, 1024, 2048)

# Units per stage.  A depth is built as in the years that first had it: 2018 made everything
# from 101 on of bottlenecks, 2019 and later only from 500 on.
DEPTHS = {
    18: ((2, 2, 2, 2), BASIC),
    34: ((3, 4, 6, 3), BASIC),
    49: ((3, 4, 14, 3), BASIC),
    50: ((3, 4, 14, 3), BASIC),
    74: ((3, 6, 24, 3), BASIC),
    90: ((3, 8, 30, 3), BASIC),
    98: ((3, 4, 38, 3), BASIC),
    99: ((3, 8, 35, 3), BASIC),
    100: ((3, 13, 30, 3), BASIC),
    101: ((3, 4, 23, 3), BOTTLENECK),
    124: ((3, 13, 40, 5), BOTTLENECK),
    134: ((3, 10, 50, 3), BASIC),
    136: ((3, 13, 48, 3), BASIC),
    140: ((3, 15, 48, 3), BASIC),
    152: ((3, 8, 36, 3), BOTTLENECK),
    160: ((3, 24, 49, 3), BASIC),
    200: ((3, 24, 36, 3), BOTTLENECK),
    269: ((3, 30, 48, 8), BOTTLENECK),
}

USES = frozenset({"emb_size", "se", "input", "output", "unit", "act"})


def stem(options: NetworkOptions, filters: int) -> mx.sym.Symbol:
    """Return the first layers, (N, 3, H, W) -> (N, filters, H or H/4, ...).

    input 1 keeps the size; 0 is the ImageNet stem, 7x7 of stride 2 and a pool; 2 is 1 with a
    BatchNorm `bn_data` in place of the fixed scaling.  Raises ValueError for another.
    """
    if options.input not in (0, 1, 2):
        raise ValueError(f"--version-input {options.input}: there are 0, 1 and 2")
    data = mx.sym.identity(mx.sym.Variable("data"), name="id")
    body = batch_norm(data, "bn_data", fix_gamma=True) if options.input == 2 else scaled(data)
    if options.input == 0:
        body = convolution(body, "conv0", filters, kernel=(7, 7), stride=(2, 2), pad=(3, 3))
    else:
        body = convolution(body, "conv0", filters, kernel=(3, 3), pad=(1, 1))
    body = activation(batch_norm(body, "bn0"), "relu0", options.act)
    if options.input == 0:
        body = mx.sym.Pooling(
            body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max", name="pool0"
        )
    return body


def build_resnet(
    units: tuple[int, ...], widths: tuple[int, ...], options: NetworkOptions
) -> mx.sym.Symbol:
    """Return an LResNet.  units per stage; widths: channels of the stem and of every stage."""
    unit = UNITS[options.unit]
    bottleneck = widths is BOTTLENECK
    body = stem(options, widths[0])
    for stage, (count, width) in enumerate(zip(units, widths[1:], strict=True), start=1):
        stride = 1 if stage == 1 and options.input == 0 else 2
        for number in range(1, count + 1):
            body = unit(
                body,
                f"stage{stage}_unit{number}",
                width,
                stride=stride if number == 1 else 1,
                project=number == 1,
                bottleneck=bottleneck,
                options=options,
            )
    return add_head(body, options, widths[-1])


for _depth, (_units, _widths) in DEPTHS.items():
    NETWORKS.register(f"r{_depth}")(
        Network(build=partial(build_resnet, _units, _widths), initializer=gaussian_out, uses=USES)
    )

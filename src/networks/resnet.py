"""LResNet: `rN`, the residual networks of the recipe.

A published model name [L]ResNet{N}{head}-IR says: L = stem 1, which keeps 112x112; IR = unit
3.  The first unit of every stage halves the picture, so 112x112 ends in 7x7.
"""

from __future__ import annotations

from dataclasses import replace

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .heads import add_head
from .initializers import gaussian_out
from .stems import resnet_stem
from .units import UNITS

BASIC = (64, 64, 128, 256, 512)  # channels of the stem and of the four stages
BOTTLENECK = (64, 256, 512, 1024, 2048)

# Units per stage.  A depth is built as in the year that first had it: until 2018 everything
# from 101 on was made of bottlenecks, from 2019 on only what has 500 layers.
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


def build_resnet(
    units: tuple[int, ...], widths: tuple[int, ...], options: NetworkOptions
) -> mx.sym.Symbol:
    """Return an LResNet.  units per stage; widths: BASIC or BOTTLENECK."""
    unit = UNITS[options.unit]
    body = resnet_stem(options, widths[0])
    for stage, (count, filters) in enumerate(zip(units, widths[1:], strict=True), start=1):
        # The ImageNet stem has already done the first stage's halving.
        stride = 1 if stage == 1 and options.input == 0 else 2
        for number in range(1, count + 1):
            first = number == 1
            body = unit(
                body,
                f"stage{stage}_unit{number}",
                filters,
                stride=stride if first else 1,
                project=first,
                bottleneck=widths is BOTTLENECK,
                options=options,
            )
    return add_head(body, options, widths[-1])


def _register(name, units, widths, **fixed):
    """Enter a network; fixed are options that its name settles."""

    def build(options: NetworkOptions) -> mx.sym.Symbol:
        return build_resnet(units, widths, replace(options, **fixed))

    NETWORKS.register(name)(
        Network(
            build=build,
            initializer=gaussian_out,
            uses=USES - set(fixed),
            published=NetworkOptions(**fixed),
        )
    )


for _depth, (_units, _widths) in DEPTHS.items():
    _register(f"r{_depth}", _units, _widths)

# Published names of later years, and the pre-activation ResNet-50 of ImageNet.
_register("r100fc", *DEPTHS[100], output="FC")
_register("r50v1", *DEPTHS[50], unit="1")
_register("resnet50v2", (3, 4, 6, 3), BOTTLENECK, unit="2", input=0)

"""SphereNet: `s20`, `s36`, `s60`, `s64`, `s104`.  Source: SphereFace, arXiv 1704.08063.

No BatchNorm.  Every 3x3 starts as Normal(0.01), which the symbol carries; a bias asks for twice
the learning rate and no weight decay.  The head is a dense layer "fc1".
"""

from __future__ import annotations

from functools import partial

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .blocks import WORKSPACE, activation, add, scaled_data
from .initializers import uniform_in

FILTERS = (64, 128, 256, 512)

# Pairs of convolutions per stage, after the one of stride 2.
DEPTHS = {
    20: (1, 2, 4, 1),
    36: (2, 4, 8, 2),
    60: (3, 8, 14, 3),
    64: (3, 8, 16, 3),
    104: (3, 8, 36, 3),
}


def _bias(name: str) -> mx.sym.Symbol:
    return mx.sym.Variable(name, lr_mult=2.0, wd_mult=0.0)


def _conv(data, number, filters, stride, options):
    name = f"conv{number}"
    weight = mx.sym.Variable(f"{name}_weight", init=mx.init.Normal(0.01))
    inputs = (data, weight, _bias(f"{name}_bias")) if stride > 1 else (data, weight)
    body = mx.sym.Convolution(
        *inputs,
        num_filter=filters,
        kernel=(3, 3),
        stride=(stride, stride),
        pad=(1, 1),
        no_bias=stride == 1,
        workspace=WORKSPACE,
        name=name,
    )
    return activation(body, f"relu{number}", options.act)


def build_spherenet(pairs: tuple[int, ...], options: NetworkOptions) -> mx.sym.Symbol:
    """Return a SphereNet with these pairs of convolutions per stage."""
    body = scaled_data()
    for stage, (count, filters) in enumerate(zip(pairs, FILTERS, strict=True), start=1):
        body = _conv(body, f"{stage}_1", filters, 2, options)
        for pair in range(count):
            k = 2 + 2 * pair
            new = _conv(body, f"{stage}_{k}", filters, 1, options)
            new = _conv(new, f"{stage}_{k + 1}", filters, 1, options)
            body = add(body, new, f"plus{stage}_{k + 1}")
    return mx.sym.FullyConnected(
        body,
        mx.sym.Variable("fc1_weight"),
        _bias("fc1_bias"),
        num_hidden=options.emb_size,
        name="fc1",
    )


for _depth, _pairs in DEPTHS.items():
    NETWORKS.register(f"s{_depth}")(
        Network(
            build=partial(build_spherenet, _pairs),
            initializer=uniform_in,
            uses=frozenset({"emb_size", "act"}),
            published=NetworkOptions(output="H"),
        )
    )

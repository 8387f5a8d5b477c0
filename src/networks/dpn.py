"""Dual path networks: `p68`, `p92`, `p107`, `p131`.  Source: arXiv 1707.01629.

Every unit adds to one part of the channels (the residual path) and appends to another (the
dense path).  BatchNorm with epsilon 1e-3 and ReLU before each convolution, as published; the
option act is for the stem.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..lazy_mxnet import mx
from .base import NETWORKS, Network, NetworkOptions
from .blocks import DEFAULT_EPS, activation, add, batch_norm, convolution
from .heads import add_head
from .initializers import uniform_in
from .stems import reducing_stem

STEM = 64
RESIDUAL = 256  # channels of the residual path in the first stage; doubled by every later one


@dataclass(frozen=True)
class Plan:
    width: int  # channels of the 3x3 in the first stage; doubled by every later one
    groups: int  # groups of the 3x3
    units: tuple[int, ...]  # per stage
    growth: tuple[int, ...]  # channels that a unit appends, per stage


DEPTHS = {
    68: Plan(128, 32, (3, 4, 12, 3), (16, 32, 32, 64)),
    92: Plan(96, 32, (3, 4, 20, 3), (16, 32, 24, 128)),
    107: Plan(200, 50, (4, 8, 20, 3), (20, 64, 64, 128)),
    131: Plan(160, 40, (4, 8, 28, 3), (16, 32, 32, 128)),
}


def _conv(data, name, filters, **more):
    norm = batch_norm(data, f"{name}__bn__bn", eps=DEFAULT_EPS)
    return convolution(
        activation(norm, f"{name}__bn__relu", "relu"), f"{name}__conv", filters, **more
    )


def _split(data, at, end, name):
    """Return the channels before `at`, and those from it to `end`."""
    left = mx.sym.slice_axis(data, axis=1, begin=0, end=at, name=f"{name}_res")
    return left, mx.sym.slice_axis(data, axis=1, begin=at, end=end, name=f"{name}_dense")


def _unit(paths, name, stride, project, width, groups, residual, growth):
    """Return the two paths after one unit; paths is (residual, dense), or (data,) at the start."""
    data = mx.sym.Concat(*paths, name=f"{name}_cat-input") if len(paths) > 1 else paths[0]
    if project:
        step = f"{name}_c1x1-w(s/{stride})"
        both = _conv(data, step, residual + 2 * growth, stride=(stride, stride))
        paths = _split(both, residual, residual + 2 * growth, step)
    body = _conv(data, f"{name}_c1x1-a", width)
    body = _conv(
        body,
        f"{name}_c3x3-b",
        width,
        kernel=(3, 3),
        stride=(stride, stride),
        pad=(1, 1),
        num_group=groups,
    )
    body = _conv(body, f"{name}_c1x1-c", residual + growth)
    added, appended = _split(body, residual, residual + growth, f"{name}_c1x1-c")
    return (
        add(paths[0], added, f"{name}_sum"),
        mx.sym.Concat(paths[1], appended, name=f"{name}_cat"),
    )


def build_dpn(plan: Plan, options: NetworkOptions) -> mx.sym.Symbol:
    """Return a dual path network."""
    paths = (reducing_stem(options, STEM),)
    for stage, (units, growth) in enumerate(zip(plan.units, plan.growth, strict=True)):
        width, residual = plan.width << stage, RESIDUAL << stage
        for number in range(1, units + 1):
            first = number == 1
            paths = _unit(
                paths,
                f"conv{stage + 2}_x__{number}",
                stride=2 if first and stage > 0 else 1,
                project=first,
                width=width,
                groups=plan.groups,
                residual=residual,
                growth=growth,
            )
    body = mx.sym.Concat(*paths, name="conv5_x_x_cat-final")
    channels = residual + (2 + plan.units[-1]) * plan.growth[-1]
    return add_head(body, options, channels)


for _depth, _plan in DEPTHS.items():
    NETWORKS.register(f"p{_depth}")(
        Network(
            build=partial(build_dpn, _plan),
            initializer=uniform_in,
            uses=frozenset({"emb_size", "output", "act"}),
        )
    )

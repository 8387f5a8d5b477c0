"""Residual units of the LResNets, by the published number of --version-unit.

Every unit is called as unit(data, name, filters, stride=, project=, bottleneck=, options=).
project: a 1x1 convolution carries the input to the new shape; else the input is added as it
is.  Every BatchNorm has epsilon 2e-5 and a free gamma.
"""

from __future__ import annotations

from ..lazy_mxnet import mx
from ..registry import Registry
from .base import NetworkOptions
from .blocks import activation, add, batch_norm, convolution, global_average

UNITS = Registry("residual unit", "--version-unit")

SE_REDUCTION = 16  # Hu et al., arXiv 1709.01507
RESNEXT_GROUPS = 32


def _conv(data, name, filters, size, stride=1, groups=1):
    pad = size // 2
    return convolution(
        data,
        name,
        filters,
        kernel=(size, size),
        stride=(stride, stride),
        pad=(pad, pad),
        num_group=groups,
    )


def _squeeze_excite(data, name, filters, options: NetworkOptions):
    """Return data with every channel weighted by what the whole picture says of it."""
    if not options.se:
        return data
    body = global_average(data, f"{name}_se_pool1")
    body = convolution(body, f"{name}_se_conv1", filters // SE_REDUCTION, no_bias=False)
    body = activation(body, f"{name}_se_relu1", options.act)
    body = convolution(body, f"{name}_se_conv2", filters, no_bias=False)
    weight = mx.sym.Activation(body, act_type="sigmoid", name=f"{name}_se_sigmoid")
    return mx.sym.broadcast_mul(data, weight, name=f"{name}_se_scale")


def _projection(data, name, filters, stride, project):
    if not project:
        return data
    return batch_norm(_conv(data, f"{name}_conv1sc", filters, 1, stride), f"{name}_sc")


@UNITS.register("1")
def post_activation(data, name, filters, *, stride, project, bottleneck, options):
    """Activation after the sum.  Unless the stem is 0, the last convolution has the stride."""
    act = options.act
    first, last = (stride, 1) if options.input == 0 else (1, stride)
    if bottleneck:
        steps = [(filters // 4, 1, first), (filters // 4, 3, 1), (filters, 1, last)]
    else:
        steps = [(filters, 3, first), (filters, 3, last)]
    body = data
    for k, (width, size, step) in enumerate(steps, start=1):
        body = batch_norm(_conv(body, f"{name}_conv{k}", width, size, step), f"{name}_bn{k}")
        if k < len(steps):
            body = activation(body, f"{name}_relu{k}", act)
    body = _squeeze_excite(body, name, filters, options)
    shortcut = _projection(data, name, filters, stride, project)
    return activation(add(body, shortcut, f"{name}_plus"), f"{name}_relu3", act)


@UNITS.register("2")
def pre_activation(data, name, filters, *, stride, project, bottleneck, options):
    """BN and activation before each convolution; the projection `_sc` starts after the first."""
    if bottleneck:
        steps = [(filters // 4, 1, 1), (filters // 4, 3, stride), (filters, 1, 1)]
    else:
        steps = [(filters, 3, stride), (filters, 3, 1)]
    body, first = data, None
    for k, (width, size, step) in enumerate(steps, start=1):
        body = activation(batch_norm(body, f"{name}_bn{k}"), f"{name}_relu{k}", options.act)
        first = body if first is None else first
        body = _conv(body, f"{name}_conv{k}", width, size, step)
    body = _squeeze_excite(body, name, filters, options)
    shortcut = _conv(first, f"{name}_sc", filters, 1, stride) if project else data
    return add(body, shortcut, f"{name}_plus")


def _improved(data, name, steps, filters, stride, project, options):
    """BN first, then convolution and BN in turn, an activation before every later convolution."""
    body = batch_norm(data, f"{name}_bn1")
    for k, (width, size, step, groups) in enumerate(steps, start=1):
        body = _conv(body, f"{name}_conv{k}", width, size, step, groups)
        body = batch_norm(body, f"{name}_bn{k + 1}")
        if k < len(steps):
            body = activation(body, f"{name}_relu{k}", options.act)
    body = _squeeze_excite(body, name, filters, options)
    shortcut = _projection(data, name, filters, stride, project)
    return add(body, shortcut, f"{name}_plus")


@UNITS.register("3")
def improved(data, name, filters, *, stride, project, bottleneck, options):
    """The IR of LResNet50E-IR: BN-conv-BN-act-conv-BN, the stride in the last convolution."""
    if bottleneck:
        steps = [(filters // 4, 1, 1, 1), (filters // 4, 3, 1, 1), (filters, 1, stride, 1)]
    else:
        steps = [(filters, 3, 1, 1), (filters, 3, stride, 1)]
    return _improved(data, name, steps, filters, stride, project, options)


@UNITS.register("3_x")
def resnext(data, name, filters, *, stride, project, bottleneck, options):
    """Unit 3 with 32 groups in the first two convolutions; for networks of bottlenecks only."""
    if not bottleneck:
        raise ValueError(
            "--version-unit 3_x: only networks of bottlenecks have it (r101, r124, r152, r200, "
            "r269); use unit 3 or one of these"
        )
    half = filters // 2
    steps = [(half, 1, 1, RESNEXT_GROUPS), (half, 3, 1, RESNEXT_GROUPS), (filters, 1, stride, 1)]
    return _improved(data, name, steps, filters, stride, project, options)

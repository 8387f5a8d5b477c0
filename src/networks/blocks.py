"""Layers that several families share, as published: names, epsilon and momentum included."""

from __future__ import annotations

from ..lazy_mxnet import mx

RESNET_EPS = 2e-5  # BatchNorm epsilon of the resnets and of all heads
DEFAULT_EPS = 1e-3  # MXNet's own BatchNorm epsilon, which m1, m05, y*, p* and i* keep
WORKSPACE = 256  # MiB a convolution may use, as published

PIXEL_MEAN = 127.5  # raw pixels 0..255 become about -1..1 inside the symbol
PIXEL_SCALE = 0.0078125


def scaled_data() -> mx.sym.Symbol:
    """Return the input "data", raw RGB 0..255, minus 127.5, times 0.0078125."""
    return scaled(mx.sym.Variable("data"))


def scaled(data: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return raw pixels 0..255 brought to about -1..1."""
    with mx.name.Prefix("data"):  # own counters: the same names however often one builds
        return (data - PIXEL_MEAN) * PIXEL_SCALE


def convolution(data: mx.sym.Symbol, name: str, filters: int, **more) -> mx.sym.Symbol:
    """Return a convolution without bias; more: kernel, stride, pad, num_group."""
    more.setdefault("kernel", (1, 1))
    more.setdefault("no_bias", True)
    return mx.sym.Convolution(data, num_filter=filters, workspace=WORKSPACE, name=name, **more)


def batch_norm(
    data: mx.sym.Symbol,
    name: str,
    *,
    eps: float = RESNET_EPS,
    fix_gamma: bool = False,
    momentum: float = 0.9,
) -> mx.sym.Symbol:
    """Return a BatchNorm.  fix_gamma True keeps its gamma at 1."""
    return mx.sym.BatchNorm(data, name=name, eps=eps, fix_gamma=fix_gamma, momentum=momentum)


def activation(data: mx.sym.Symbol, name: str, act: str) -> mx.sym.Symbol:
    """Return prelu (one slope per channel, initially 0.25) or an operator of Activation."""
    if act == "prelu":
        return mx.sym.LeakyReLU(data, act_type="prelu", name=name)
    return mx.sym.Activation(data, act_type=act, name=name)


def add(left: mx.sym.Symbol, right: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    """Return the sum of two symbols of one shape."""
    return mx.sym.elemwise_add(left, right, name=name)


def global_average(data: mx.sym.Symbol, name: str) -> mx.sym.Symbol:
    """Return the mean over all places, (N, C, H, W) -> (N, C, 1, 1)."""
    return mx.sym.Pooling(data, global_pool=True, kernel=(7, 7), pool_type="avg", name=name)


def conv_block(
    data: mx.sym.Symbol,
    name: str,
    filters: int,
    *,
    act: str | None = "prelu",
    eps: float = DEFAULT_EPS,
    fix_gamma: bool = False,
    momentum: float = 0.9,
    **more,
) -> mx.sym.Symbol:
    """Return convolution, BatchNorm and activation of the mobile networks.

    act None leaves the activation out ("linear").  more goes to the convolution.
    """
    conv = convolution(data, f"{name}_conv2d", filters, **more)
    norm = batch_norm(conv, f"{name}_batchnorm", eps=eps, fix_gamma=fix_gamma, momentum=momentum)
    return norm if act is None else activation(norm, f"{name}_relu", act)

"""Heads: from the last feature map to the embedding "fc1", by the published letter.

add_head(body, options, channels) picks the head that options.output names.  All of them end
in a layer called "fc1", so that the internal output "fc1_output" is the embedding.  As
published, A, B, D and Z did not; here an identity or the last layer itself takes that name
and every parameter keeps its published one.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

from ..lazy_mxnet import mx
from ..registry import Registry
from .base import NetworkOptions
from .blocks import (
    DEFAULT_EPS,
    RESNET_EPS,
    activation,
    batch_norm,
    conv_block,
    convolution,
    global_average,
)

HEADS = Registry("head", "--version-output")

E_DROPOUT = 0.4
X_DROPOUT = 0.2
FEATURE_SIZE = 7  # a crop of 112x112 ends in 7x7 places
IMAGENET_FEATURE_SIZE = 4  # and in 4x4 after a stem that halves it (input 0)

Head = Callable[..., Any]  # (body, options, channels) -> symbol


def add_head(body: mx.sym.Symbol, options: NetworkOptions, channels: int) -> mx.sym.Symbol:
    """Return the embedding "fc1" (N, options.emb_size) of a feature map (N, channels, H, W).

    Raises ValueError for an unknown head, and for an emb_size that a head without a layer for
    it cannot give.
    """
    return HEADS[options.output](body, options, channels)


@functools.cache
def head_parameters() -> frozenset[str]:
    """Return the names of all parameters and statistics that any head has."""
    names: set[str] = set()
    for key in HEADS.names():
        for channels in (8, 16, 32):  # fewer than, as many as, and more than the embedding has
            for size in (16, channels, channels * FEATURE_SIZE**2):
                options = NetworkOptions(emb_size=size, output=key, act="prelu")
                try:
                    symbol = add_head(mx.sym.Variable("body"), options, channels)
                except ValueError:  # not a size that this head gives
                    continue
                names.update(symbol.list_arguments(), symbol.list_auxiliary_states())
    return frozenset(names - {"body"})


def _bn1(body: mx.sym.Symbol) -> mx.sym.Symbol:
    return batch_norm(body, "bn1")


def _dense(data: mx.sym.Symbol, options: NetworkOptions, name: str = "pre_fc1") -> mx.sym.Symbol:
    return mx.sym.FullyConnected(data, num_hidden=options.emb_size, name=name)


def _normed(data: mx.sym.Symbol) -> mx.sym.Symbol:
    return batch_norm(data, "fc1", fix_gamma=True)


def _check_size(options: NetworkOptions, size: int) -> None:
    if options.emb_size != size:
        raise ValueError(
            f"head {options.output} has no layer that sets the embedding size: on this network "
            f"it gives {size}, not {options.emb_size}; use --emb-size {size} or another head"
        )


@HEADS.register("E")
def _e(body, options, channels):
    """The E of LResNet50E-IR: BN, dropout, dense, BN."""
    dropped = mx.sym.Dropout(_bn1(body), p=E_DROPOUT, name="dropout0")
    return _normed(_dense(dropped, options))


@HEADS.register("F")
def _f(body, options, channels):
    dropped = mx.sym.Dropout(_bn1(body), p=E_DROPOUT, name="dropout0")
    return _dense(dropped, options, "fc1")


@HEADS.register("G")
def _g(body, options, channels):
    return _dense(_bn1(body), options, "fc1")


@HEADS.register("H")
def _h(body, options, channels):
    return _dense(body, options, "fc1")


@HEADS.register("I", "FC")
def _i(body, options, channels):
    return _normed(_dense(_bn1(body), options))


@HEADS.register("J")
def _j(body, options, channels):
    return _normed(_dense(body, options))


@HEADS.register("Z")
def _z(body, options, channels):
    """BN and dropout alone: every value of the feature map, flattened."""
    side = IMAGENET_FEATURE_SIZE if options.input == 0 else FEATURE_SIZE
    _check_size(options, channels * side * side)
    dropped = mx.sym.Dropout(_bn1(body), p=E_DROPOUT, name="dropout0")
    return mx.sym.Flatten(dropped, name="fc1")


def _pooled(body: mx.sym.Symbol, options: NetworkOptions) -> mx.sym.Symbol:
    active = activation(_bn1(body), "relu1", options.act)
    return mx.sym.Flatten(global_average(active, "pool1"), name="flatten0")


def _pooled_head(finish: Head, dropout: bool) -> Head:
    def head(body, options, channels):
        pooled = _pooled(body, options)
        if dropout:
            pooled = mx.sym.Dropout(pooled, p=X_DROPOUT, name="dropout0")
        return finish(pooled, options, channels)

    return head


def _a(pooled, options, channels):
    _check_size(options, channels)
    return mx.sym.identity(pooled, name="fc1")


def _b(pooled, options, channels):
    return mx.sym.identity(_dense(pooled, options), name="fc1")


def _c(pooled, options, channels):
    return _normed(_dense(pooled, options))


def _d(pooled, options, channels):
    """As published the BN is "fc1" and the activation "fc1_relu"; the embedding is the latter."""
    norm = mx.sym.BatchNorm(
        _dense(pooled, options),
        mx.sym.Variable("fc1_gamma"),
        mx.sym.Variable("fc1_beta"),
        mx.sym.Variable("fc1_moving_mean"),
        mx.sym.Variable("fc1_moving_var"),
        fix_gamma=True,
        eps=RESNET_EPS,
        momentum=0.9,
        name="fc1_bn",
    )
    if options.act != "prelu":
        return activation(norm, "fc1", options.act)
    slope = mx.sym.Variable("fc1_relu_gamma", init=mx.init.Constant(0.25))
    return mx.sym.LeakyReLU(norm, slope, act_type="prelu", name="fc1")


for _letter, _finish in {"A": _a, "B": _b, "C": _c, "D": _d}.items():
    HEADS.register(_letter)(_pooled_head(_finish, dropout=False))
    HEADS.register(_letter + "X")(_pooled_head(_finish, dropout=True))


@HEADS.register("GAP")
def _gap(body, options, channels):
    return _c(_pooled(body, options), options, channels)


@HEADS.register("GDC")
def _gdc(body, options, channels):
    """Global depthwise convolution.  Source: MobileFaceNets, arXiv 1804.07573."""
    size = (FEATURE_SIZE, FEATURE_SIZE)
    places = conv_block(body, "conv_6dw7_7", channels, act=None, kernel=size, num_group=channels)
    return _normed(_dense(places, options))


@HEADS.register("GNAP")
def _gnap(body, options, channels):
    """Global norm-aware pooling: every place gets the same norm before the mean.

    As published the common norm is the mean over the whole batch, so an embedding depends a
    little on its neighbours in the batch.
    """
    if options.emb_size > channels:
        wide = convolution(body, "convx", options.emb_size)
        body = activation(batch_norm(wide, "convx_bn"), "convx_relu", options.act)
        channels = options.emb_size
    body = batch_norm(body, "bn6f", eps=DEFAULT_EPS, fix_gamma=True)
    norms = mx.sym.sqrt(
        mx.sym.sum(mx.sym.square(body, name="gnap_square"), axis=1, keepdims=True, name="gnap_sum"),
        name="gnap_norm",
    )  # (N, 1, H, W)
    weight = mx.sym.broadcast_div(mx.sym.mean(norms, name="gnap_mean"), norms, name="gnap_weight")
    body = global_average(mx.sym.broadcast_mul(body, weight, name="gnap_weighted"), "gnap_pool")
    if options.emb_size < channels:
        body = batch_norm(body, "bn6w", eps=DEFAULT_EPS, fix_gamma=True)
        return _normed(_dense(body, options))
    return _normed(mx.sym.Flatten(body, name="flatten0"))


@HEADS.register("SFC")
def _sfc(body, options, channels):
    """Depthwise 3x3 of stride 2 and 1x1 before a smaller dense layer."""
    body = convolution(
        _bn1(body), "convf", channels, kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_group=channels
    )
    body = activation(batch_norm(body, "bnf"), "reluf", options.act)
    body = convolution(body, "convf2", channels)
    body = activation(batch_norm(body, "bnf2"), "reluf2", options.act)
    return _normed(_dense(body, options))

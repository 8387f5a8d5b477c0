"""First layers of the LResNets, and the stem that DenseNet and DPN share."""

from __future__ import annotations

from ..lazy_mxnet import mx
from .base import NetworkOptions
from .blocks import activation, batch_norm, convolution, scaled, scaled_data
from .units import UNITS


def resnet_stem(options: NetworkOptions, filters: int) -> mx.sym.Symbol:
    """Return conv0, bn0, relu0 on the input "data" (N, 3, H, W).

    input 1 keeps H and W; 0 is the ImageNet stem, 7x7 of stride 2 and a max pool, H/4; 2 is 1
    with a BatchNorm `bn_data` in place of the fixed scaling.  Raises ValueError for another.
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


def reducing_stem(options: NetworkOptions, filters: int) -> mx.sym.Symbol:
    """Return conv0, bn0, relu0 and a unit 3 called "head" of stride 2: (N, filters, H/2, W/2)."""
    body = convolution(scaled_data(), "conv0", filters, kernel=(3, 3), pad=(1, 1))
    body = activation(batch_norm(body, "bn0"), "relu0", options.act)
    return UNITS["3"](
        body, "head", filters, stride=2, project=True, bottleneck=False, options=options
    )

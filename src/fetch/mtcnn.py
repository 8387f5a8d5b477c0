"""The three networks of MTCNN as symbols, and their weights out of ONNX files.

All take BGR, (x - 127.5) / 128, NCHW.  Source: MTCNN, arXiv 1604.02878, table I; layer names
as in the published checkpoints det1, det2, det3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from .onnx_weights import read_weights


def proposal_network() -> mx.sym.Symbol:
    """Return PNet: (1, 3, H, W) to box regression (1, 4, h, w) and probabilities (1, 2, h, w).

    Cell (i, j) looks at the 12x12 window whose corner is row 2i, column 2j.
    """
    body = _convolution(mx.sym.Variable("data"), 1, 10)
    body = _pool(body, 1, 2)
    body = _convolution(body, 2, 16)
    body = _convolution(body, 3, 32)
    regression = mx.sym.Convolution(body, kernel=(1, 1), num_filter=4, name="conv4_2")
    logits = mx.sym.Convolution(body, kernel=(1, 1), num_filter=2, name="conv4_1")
    return mx.sym.Group([regression, mx.sym.softmax(logits, axis=1, name="prob1")])


def refinement_network() -> mx.sym.Symbol:
    """Return RNet: (N, 3, 24, 24) to box regression (N, 4) and probabilities (N, 2)."""
    body = _convolution(mx.sym.Variable("data"), 1, 28)
    body = _convolution(_pool(body, 1, 3), 2, 48)
    body = _convolution(_pool(body, 2, 3), 3, 64, kernel=2)
    body = _dense(body, 4, 128)
    return _heads(body, 5, regression=2)


def output_network() -> mx.sym.Symbol:
    """Return ONet: (N, 3, 48, 48) to landmarks (N, 10), regression (N, 4), probabilities (N, 2)."""
    body = _convolution(mx.sym.Variable("data"), 1, 32)
    body = _convolution(_pool(body, 1, 3), 2, 64)
    body = _convolution(_pool(body, 2, 3), 3, 64)
    body = _convolution(_pool(body, 3, 2), 4, 128, kernel=2)
    body = _dense(body, 5, 256)
    landmarks = mx.sym.FullyConnected(body, num_hidden=10, name="conv6_3")
    return mx.sym.Group([landmarks, *_heads(body, 6, regression=2)])


def _convolution(body: mx.sym.Symbol, number: int, channels: int, kernel: int = 3) -> mx.sym.Symbol:
    shape = (kernel, kernel)
    body = mx.sym.Convolution(body, kernel=shape, num_filter=channels, name=f"conv{number}")
    return mx.sym.LeakyReLU(body, act_type="prelu", name=f"prelu{number}")


def _dense(body: mx.sym.Symbol, number: int, width: int) -> mx.sym.Symbol:
    body = mx.sym.FullyConnected(body, num_hidden=width, name=f"conv{number}")
    return mx.sym.LeakyReLU(body, act_type="prelu", name=f"prelu{number}")


def _pool(body: mx.sym.Symbol, number: int, kernel: int) -> mx.sym.Symbol:
    return mx.sym.Pooling(
        body,
        kernel=(kernel, kernel),
        stride=(2, 2),
        pool_type="max",
        pooling_convention="full",  # as in Caffe, where the weights come from
        name=f"pool{number}",
    )


def _heads(body: mx.sym.Symbol, number: int, regression: int) -> mx.sym.Symbol:
    boxes = mx.sym.FullyConnected(body, num_hidden=4, name=f"conv{number}_{regression}")
    logits = mx.sym.FullyConnected(body, num_hidden=2, name=f"conv{number}_1")
    return mx.sym.Group([boxes, mx.sym.softmax(logits, axis=1, name="prob1")])


@dataclass(frozen=True)
class _Network:
    """One network and where its layers lie in the ONNX file.

    convolutions, dense: layer name here -> layer name there, in order.  slopes: PReLUs, whose
    ONNX names carry no order, are told apart by their length and are named here in order.
    """

    build: Callable[[], mx.sym.Symbol]
    convolutions: dict[str, str]
    dense: dict[str, str]
    slopes: dict[str, str]


NETWORKS = {
    "pnet": _Network(
        proposal_network,
        {
            "conv1": "conv2d",
            "conv2": "conv2d_1",
            "conv3": "conv2d_2",
            "conv4_1": "conv2d_3",
            "conv4_2": "conv2d_4",
        },
        {},
        {
            "prelu1": "p_re_lu_initializer_8",
            "prelu2": "p_re_lu_1_initializer_6",
            "prelu3": "p_re_lu_2_initializer_3",
        },
    ),
    "rnet": _Network(
        refinement_network,
        {"conv1": "conv2d_5", "conv2": "conv2d_6", "conv3": "conv2d_7"},
        {"conv4": "dense", "conv5_1": "dense_1", "conv5_2": "dense_2"},
        {
            "prelu1": "p_re_lu_3_initializer_14",
            "prelu2": "p_re_lu_4_initializer_12",
            "prelu3": "p_re_lu_5_initializer_10",
            "prelu4": "slope",
        },
    ),
    "onet": _Network(
        output_network,
        {"conv1": "conv2d_8", "conv2": "conv2d_9", "conv3": "conv2d_10", "conv4": "conv2d_11"},
        {"conv5": "dense_3", "conv6_1": "dense_4", "conv6_2": "dense_5", "conv6_3": "dense_6"},
        {
            "prelu1": "p_re_lu_7_initializer_22",
            "prelu2": "p_re_lu_8_initializer_20",
            "prelu3": "p_re_lu_9_initializer_18",
            "prelu4": "p_re_lu_10_initializer_16",
            "prelu5": "slope",
        },
    ),
}


def mtcnn_checkpoint(name: str, onnx_file: bytes) -> tuple[mx.sym.Symbol, dict, dict]:
    """Return (symbol, arg_params, {}), float32, of one network out of its ONNX file.

    name: "pnet", "rnet" or "onet".  The ONNX networks want RGB and a transposed image; the
    weights are turned so that ours want BGR and the image as it is, as published.
    Raises ValueError if the file is not this network.
    """
    network, weights = NETWORKS[name], read_weights(onnx_file)
    found: dict[str, np.ndarray] = {}
    try:
        for ours, theirs in network.convolutions.items():
            kernel = weights[f"{theirs}/kernel:0"].transpose(0, 1, 3, 2)
            found[f"{ours}_weight"] = kernel[:, ::-1] if ours == "conv1" else kernel
            found[f"{ours}_bias"] = weights[f"{theirs}/bias:0"]
        for position, (ours, theirs) in enumerate(network.dense.items()):
            matrix = weights[f"{theirs}/kernel:0"].T  # (out, in)
            if position == 0:  # (column, row, C) there, (C, row, column) here
                size = len(matrix)
                matrix = matrix.reshape(size, 3, 3, -1).transpose(0, 3, 2, 1).reshape(size, -1)
            found[f"{ours}_weight"] = matrix
            found[f"{ours}_bias"] = weights[f"{theirs}/bias:0"]
        for ours, theirs in network.slopes.items():
            found[f"{ours}_gamma"] = weights[theirs].reshape(-1)
    except (KeyError, ValueError) as error:
        raise ValueError(f"not the weights of {name}: {error}") from None
    symbol = network.build()
    return symbol, {key: mx.nd.array(np.ascontiguousarray(v)) for key, v in found.items()}, {}

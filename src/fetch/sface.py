"""The pretrained network sface as a checkpoint of the published network m1.

SFace's MobileNet (OpenCV model zoo, Apache-2.0) has m1's layers and parameter names:
output E, input 1, embedding of 128.  Input is raw RGB 0..255, aligned crops of 112x112.
"""

from __future__ import annotations

import mxnet as mx
import numpy as np

from ..networks import NetworkOptions, build_network
from .onnx_weights import read_weights

EMB_SIZE = 128
GAMMA_TOLERANCE = 1e-5  # stored gammas of layers that fix gamma at 1 are 0.9999995


def sface_checkpoint(onnx_file: bytes) -> tuple[mx.sym.Symbol, dict, dict]:
    """Return (symbol, arg_params, aux_params), float32, of m1 with the weights of sface.

    Raises ValueError if the file is not this network, to the last name and shape.
    """
    symbol = build_network("m1", NetworkOptions(emb_size=EMB_SIZE))
    weights = read_weights(onnx_file)
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, 112, 112))
    arg_shapes = dict(zip(symbol.list_arguments(), arg_shapes, strict=True))
    aux_shapes = dict(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    del arg_shapes["data"]
    weights = {name: _as_m1(name, array) for name, array in weights.items()}
    found = {name: weights[name].shape for name in weights if not name.startswith("scalar_op")}
    if found != arg_shapes | aux_shapes:
        wrong = sorted(found.items() ^ (arg_shapes | aux_shapes).items())
        raise ValueError(f"not the weights of m1: first difference {wrong[0]}")
    _check_fixed_gammas(symbol, weights)
    return (
        symbol,
        {name: mx.nd.array(weights[name]) for name in arg_shapes},
        {name: mx.nd.array(weights[name]) for name in aux_shapes},
    )


def _as_m1(name: str, array: np.ndarray) -> np.ndarray:
    """A PReLU slope is (C, 1, 1) in ONNX and (C,) in MXNet."""
    return array.reshape(-1) if name.endswith("relu_gamma") else array


def _check_fixed_gammas(symbol: mx.sym.Symbol, weights: dict[str, np.ndarray]) -> None:
    attributes = symbol.attr_dict()
    for name in symbol.list_arguments():
        layer = name.removesuffix("_gamma")
        fixed = layer != name and attributes.get(layer, {}).get("fix_gamma") == "True"
        if fixed and np.abs(weights[name] - 1).max() > GAMMA_TOLERANCE:
            raise ValueError(f"not the weights of m1: {name} is not 1, as m1 fixes it")

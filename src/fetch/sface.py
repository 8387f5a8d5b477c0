"""The pretrained network sface as a checkpoint of the published network m1.

SFace's MobileNet (OpenCV model zoo, Apache-2.0) has m1's layers and parameter names:
output E, input 1, embedding of 128.  Input is raw RGB 0..255, aligned crops of 112x112.
"""

from __future__ import annotations

import mxnet as mx
import numpy as np

from ..checkpoints.load import mxnet_arrays
from ..importing.from_onnx import import_onnx
from ..networks import NetworkOptions, build_network

EMB_SIZE = 128
GAMMA_TOLERANCE = 1e-5  # stored gammas of layers that fix gamma at 1 are 0.9999995


def sface_checkpoint(onnx_file: bytes) -> tuple[mx.sym.Symbol, dict, dict]:
    """Return (symbol, arg_params, aux_params), float32, of m1 with the weights of sface.

    Raises ValueError if the file is not this network, to the last name and shape.
    """
    symbol = build_network("m1", NetworkOptions(emb_size=EMB_SIZE))
    weights = import_onnx(onnx_file, "sface", color="rgb").network.parameters
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, 112, 112))
    arg_shapes = dict(zip(symbol.list_arguments(), arg_shapes, strict=True))
    aux_shapes = dict(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    del arg_shapes["data"]
    found = {name: value.shape for name, value in weights.items()}
    if found != arg_shapes | aux_shapes:
        wrong = sorted(found.items() ^ (arg_shapes | aux_shapes).items())
        raise ValueError(f"not the weights of m1: first difference {wrong[0]}")
    _check_fixed_gammas(symbol, weights)
    arrays = mxnet_arrays(weights)
    return (
        symbol,
        {name: arrays[name] for name in arg_shapes},
        {name: arrays[name] for name in aux_shapes},
    )


def _check_fixed_gammas(symbol: mx.sym.Symbol, weights: dict[str, np.ndarray]) -> None:
    attributes = symbol.attr_dict()
    for name in symbol.list_arguments():
        layer = name.removesuffix("_gamma")
        fixed = layer != name and attributes.get(layer, {}).get("fix_gamma") == "True"
        if fixed and np.abs(weights[name] - 1).max() > GAMMA_TOLERANCE:
            raise ValueError(f"not the weights of m1: {name} is not 1, as m1 fixes it")

"""A checkpoint as a Gluon block, for code that lives in Gluon.

block = load_block("models/r50,0")
embedding = block(images)              # (N, 3, 112, 112) raw RGB 0..255 -> (N, D)
"""

from __future__ import annotations

import warnings

import mxnet as mx

from ..checkpoints.embedding_part import load_slim


def load_block(checkpoint: str, ctx: mx.Context | None = None) -> mx.gluon.SymbolBlock:
    """Return a block from images (N, 3, H, W), float32, raw RGB 0..255, to embeddings (N, D).

    checkpoint: "prefix,number"; a classifier in it is left out.  The embeddings are not
    normalised.  Parameters keep their published names and can be trained on.
    """
    symbol, arg_params, aux_params = load_slim(checkpoint)
    with warnings.catch_warnings():  # MXNet warns that "data" has no type; it becomes float32
        warnings.filterwarnings("ignore", message="Cannot decide type")
        block = mx.gluon.SymbolBlock(symbol, mx.sym.var("data"))
    values = {**arg_params, **aux_params}
    for name, parameter in block.collect_params().items():
        parameter._load_init(values[name], ctx or mx.cpu())
    return block

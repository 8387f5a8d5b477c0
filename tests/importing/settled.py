"""A network with random weights whose embeddings differ from image to image, as a trained one's do.

Random running statistics let images fade layer by layer, until all have one embedding and anything
is like anything.
"""

from __future__ import annotations

import json

from arcface_mxnet.checkpoints.network import StoredNetwork
from arcface_mxnet.importing.proof import face_like_crops
import mxnet as mx
import numpy as np

BATCH = 6


def settled(symbol, arg_params, aux_params, size) -> StoredNetwork:
    """Return the network with the statistics of a batch of smooth images."""
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["op"] == "BatchNorm":
            node["attrs"]["momentum"] = "0"  # this batch alone
    images = face_like_crops(size, BATCH).transpose(0, 3, 1, 2).astype(np.float32)
    training = mx.sym.load_json(json.dumps(graph))
    executor = training.simple_bind(mx.cpu(), grad_req="write", data=images.shape)
    executor.copy_params_from(arg_params, aux_params)
    (output,) = executor.forward(is_train=True, data=mx.nd.array(images))
    executor.backward([mx.nd.ones(output.shape)])  # which is what writes statistics
    mx.nd.waitall()  # a copy does not wait for that
    rng = np.random.default_rng(0)
    found = {name: array.copy() for name, array in executor.aux_dict.items()}
    for name, array in found.items():  # no longer those of exactly these images
        array *= mx.nd.array(rng.uniform(0.8, 1.25, array.shape))
        assert array.shape == aux_params[name].shape
    return StoredNetwork.of(symbol, arg_params, found)

"""The process-wide settings without which MXNet dies: each in a process of its own."""

import os
import subprocess
import sys

import pytest

FORWARD = """
import arcface_mxnet
import mxnet as mx
import numpy as np
from arcface_mxnet.networks import NetworkOptions, build_network

def forward(symbol, **shapes):
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", **shapes)
    for array in (executor.arg_arrays + executor.aux_arrays):
        array[:] = 0.01
    print(executor.forward(is_train=False)[0].asnumpy().shape)

"""

# After a BatchNorm of (2, 16, 1, 1) behind a depthwise convolution one of (2, 16).
TWO_GRAPHS = """
data = mx.sym.Variable("data")
whole_map = mx.sym.Convolution(data, num_filter=16, num_group=16, kernel=(7, 7), no_bias=True)
forward(mx.sym.BatchNorm(whole_map), data=(2, 16, 7, 7))
forward(mx.sym.BatchNorm(data), data=(2, 16))
"""

# Crops of 32x32 leave a map of 2x2, which the depthwise convolution of head SFC brings to 1x1.
ONE_NETWORK = """
symbol = build_network("r18", NetworkOptions(output="SFC", emb_size=512))
forward(symbol, data=(2, 3, 32, 32))
"""


@pytest.mark.parametrize(
    ("body", "shapes"),
    [(TWO_GRAPHS, ["(2, 16, 1, 1)", "(2, 16)"]), (ONE_NETWORK, ["(2, 512)"])],
    ids=["two graphs", "one network"],
)
def test_batch_norms_of_one_place_and_of_none(body, shapes):
    """oneDNN's primitive cache takes their layouts for the same: a segmentation fault."""
    environment = {k: v for k, v in os.environ.items() if k != "DNNL_PRIMITIVE_CACHE_CAPACITY"}
    run = subprocess.run(
        [sys.executable, "-c", FORWARD + body], env=environment, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout.splitlines()) == (0, shapes), run.stderr

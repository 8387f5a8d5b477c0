"""Checkpoints of other years load with our networks."""

import json

import arcface_mxnet  # noqa: F401  (makes MXNet importable)
from arcface_mxnet.networks import NetworkOptions, build_network
from arcface_mxnet.networks.published import renamed_parameters
import mxnet as mx
import numpy as np
import pytest


def test_symbol_file_of_2018(random_parameters, embedding, pictures):
    """MXNet 1.0 wrote operator options under "attr"; such a file loads and computes the same."""
    symbol = build_network("m05", NetworkOptions(emb_size=8))
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        node["attr"] = node.pop("attrs", {})
    graph["attrs"] = {"mxnet_version": ["int", 10000]}
    old = mx.sym.load_json(json.dumps(graph))
    args, states = random_parameters(symbol, 32)
    data = pictures(32)
    np.testing.assert_array_equal(
        embedding(old, args, states, data), embedding(symbol, args, states, data)
    )


@pytest.fixture
def may_2018(random_parameters):
    """Return symbol, arg and aux of a MobileFaceNet as it was saved until August 2018."""
    options = NetworkOptions(emb_size=8, output="GDC")
    symbol = build_network("y1", options)
    args, states = random_parameters(symbol, 112)
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["name"] == "pre_fc1_weight":
            node["name"] = "fc1_weight"
    args["fc1_weight"] = args.pop("pre_fc1_weight")
    return mx.sym.load_json(json.dumps(graph)), args, states


def test_mobilefacenet_of_may_2018(may_2018, embedding, pictures):
    """Its embedding weight is found under its old name, and said so."""
    old, args, states = may_2018
    ours = build_network("y1", NetworkOptions(emb_size=8, output="GDC"))
    before = dict(args)
    params, messages = renamed_parameters(args, ours)
    assert messages == [
        "fc1_weight: taken as pre_fc1_weight, the name it has had since August 2018"
    ]
    assert args == before
    assert set(params) == set(ours.list_arguments()) - {"data"}
    data = pictures(112)
    np.testing.assert_array_equal(
        embedding(ours, params, states, data), embedding(old, args, states, data)
    )


def test_nothing_is_renamed_without_need(may_2018):
    old, args, _ = may_2018
    assert renamed_parameters(args, old) == (args, [])  # its own symbol knows the old name
    ours = build_network("y1", NetworkOptions(emb_size=8, output="GDC"))
    new = {**args, "pre_fc1_weight": args["fc1_weight"]}
    assert renamed_parameters(new, ours) == (new, [])  # has both
    head_g = {"fc1_weight": args["fc1_weight"], "fc1_bias": args["pre_fc1_bias"]}
    assert renamed_parameters(head_g, ours) == (head_g, [])  # another head's dense layer

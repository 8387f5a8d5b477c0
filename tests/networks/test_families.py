"""What shapes do not show of the families that no full computation checks."""

from collections import Counter
import json

from arcface_mxnet.networks import NetworkOptions, build_network
import pytest


def nodes(name):
    return json.loads(build_network(name, NetworkOptions()).tojson())["nodes"]


def test_scales_of_inception_resnet():
    """10 blocks of 35, 20 of 17, 9 and a last one of 8; and the scaling of the pixels."""
    scalars = [float(n["attrs"]["scalar"]) for n in nodes("i2") if n["op"] == "_mul_scalar"]
    assert Counter(scalars) == {0.0078125: 1, 0.17: 10, 0.1: 20, 0.2: 10}


def test_layers_of_inception_resnet():
    graph = nodes("i2")
    norms = [node for node in graph if node["op"] == "BatchNorm"]
    assert [node["name"] for node in norms[-3:]] == ["batchnorm243", "bn1", "fc1"]
    for node in norms[:-2]:
        assert (node["attrs"]["fix_gamma"], float(node["attrs"]["eps"])) == ("True", 1e-3)
    convolutions = [node for node in graph if node["op"] == "Convolution"]
    assert len(convolutions) == 244
    assert all(len(node["inputs"]) == 3 for node in convolutions)  # each has a bias


def test_last_block_of_inception_resnet_has_no_activation():
    graph = nodes("i2")
    last = next(node for node in graph if node["name"] == "convolution243")
    assert graph[last["inputs"][0][0]]["op"] == "elemwise_add"


@pytest.mark.parametrize(("name", "blocks"), [("d121", 58), ("d161", 78)])
def test_dropout_of_densenet(name, blocks):
    """After both convolutions of every unit and after each of the three transitions."""
    rates = [float(node["attrs"]["p"]) for node in nodes(name) if node["op"] == "Dropout"]
    assert Counter(rates) == {0.2: 2 * blocks + 3, 0.4: 1}


def test_shortcuts_of_mobilenet_v2():
    """The input itself in a repeat, a bare 1x1 where the channels change, none at stride 2."""
    graph = nodes("m2")
    sums = [node for node in graph if node["op"] == "elemwise_add"]
    shortcuts = {node["name"]: graph[node["inputs"][1][0]]["name"] for node in sums}
    assert len(sums) == 13
    assert shortcuts["b1_0_plus"] == "b1_0_conv_res"
    assert shortcuts["b2_1_plus"] == "b2_0_conv_proj_batchnorm"
    assert shortcuts["b3_2_plus"] == "b3_1_plus"
    assert shortcuts["b4_0_plus"] == "b4_0_conv_res"
    assert "b2_0_plus" not in shortcuts


def test_paths_of_dpn():
    """Every unit adds to the first channels and appends to the others."""
    graph = nodes("p68")
    named = {node["name"]: node for node in graph}

    def inputs(name):
        return [graph[i]["name"] for i, *_ in named[name]["inputs"]]

    assert inputs("conv3_x__2_sum") == ["conv3_x__1_sum", "conv3_x__2_c1x1-c_res"]
    assert inputs("conv3_x__2_cat") == ["conv3_x__1_cat", "conv3_x__2_c1x1-c_dense"]
    assert inputs("conv5_x_x_cat-final") == ["conv5_x__3_sum", "conv5_x__3_cat"]

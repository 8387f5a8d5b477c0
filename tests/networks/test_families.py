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


def test_transitions_of_densenet_161():
    """The published count starts at 96 = 2 x 48 though the stem gives 64."""
    symbol = build_network("d161", NetworkOptions())
    shapes = symbol.infer_shape(data=(1, 3, 112, 112))[0]
    named = dict(zip(symbol.list_arguments(), shapes, strict=True))
    assert [named[f"TBstage{stage}_conv1_weight"] for stage in (1, 2, 3)] == [
        (192, 352, 1, 1),
        (384, 768, 1, 1),
        (1056, 2112, 1, 1),
    ]


def test_widths_of_mobilenet_v2():
    """A repeat expands from the channels of the stage before: 6 x 16 = 96 in b2_1, not 6 x 24."""
    filters = {
        node["name"]: int(node["attrs"]["num_filter"])
        for node in nodes("m2")
        if node["op"] == "Convolution"
    }
    stages = [("b1", 1, 32), ("b2", 2, 96), ("b3", 3, 144), ("b4", 4, 192)]
    stages += [("b5", 3, 384), ("b6", 3, 576), ("b7", 1, 960)]
    for stage, units, wide in stages:
        for unit in range(units):
            for layer in ("sep", "dw"):
                assert filters[f"{stage}_{unit}_conv_{layer}_conv2d"] == wide
    assert sum("conv_sep" in name for name in filters) == 17


def test_norms_of_mobilenet_v2():
    """Gluon's epsilon in the body, that of all heads in the head."""
    norms = {n["name"]: float(n["attrs"]["eps"]) for n in nodes("m2") if n["op"] == "BatchNorm"}
    assert Counter(norms.values()) == {1e-5: 1 + 3 * 17 + 3 + 1, 2e-5: 2}
    assert norms["bn1"] == norms["fc1"] == 2e-5


def test_shortcuts_of_mobilenet_v2():
    """The input in a repeat; 1x1, norm and ReLU where the channels change; none at stride 2."""
    graph = nodes("m2")
    sums = [node for node in graph if node["op"] == "elemwise_add"]
    shortcuts = {node["name"]: graph[node["inputs"][1][0]]["name"] for node in sums}
    assert len(sums) == 13
    assert shortcuts["b1_0_plus"] == "b1_0_conv_res_relu"
    assert shortcuts["b2_1_plus"] == "b2_0_conv_proj_batchnorm"
    assert shortcuts["b3_2_plus"] == "b3_1_plus"
    assert shortcuts["b4_0_plus"] == "b4_0_conv_res_relu"
    assert shortcuts["b7_0_plus"] == "b7_0_conv_res_relu"
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

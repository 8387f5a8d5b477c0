"""Residual units and stems of the LResNets."""

import json

from arcface_mxnet.networks import NetworkOptions, build_network
import pytest

BOTTLENECKS = ("r101", "r124", "r152", "r200", "r269")


def nodes(name, **options):
    graph = json.loads(build_network(name, NetworkOptions(**options)).tojson())["nodes"]
    return {node["name"]: {**node, "attrs": node.get("attrs", {})} for node in graph}


@pytest.mark.parametrize("se", [0, 1])
@pytest.mark.parametrize("version_input", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "unit"),
    [("r18", "1"), ("r18", "2"), ("r18", "3")]
    + [("r101", "1"), ("r101", "2"), ("r101", "3"), ("r101", "3_x")],
)
def test_combinations_build(name, unit, version_input, se):
    options = NetworkOptions(unit=unit, input=version_input, se=se, emb_size=32)
    symbol = build_network(name, options)
    assert symbol.infer_shape(data=(1, 3, 112, 112))[1] == [(1, 32)]
    body = symbol.get_internals()["bn1_output"].infer_shape(data=(1, 3, 112, 112))[1][0]
    side = 4 if version_input == 0 else 7
    assert body == (1, 512 if name == "r18" else 2048, side, side)


@pytest.mark.parametrize(
    ("name", "options", "strided"),
    [
        # the convolutions of a halving unit that have its stride, besides the shortcut
        ("r18", {"unit": "3"}, "conv2"),
        ("r101", {"unit": "3"}, "conv3"),
        ("r101", {"unit": "3_x"}, "conv3"),
        ("r18", {"unit": "2"}, "conv1"),
        ("r101", {"unit": "2"}, "conv2"),
        ("r18", {"unit": "1"}, "conv2"),
        ("r101", {"unit": "1"}, "conv3"),
        ("r18", {"unit": "1", "input": 0}, "conv1"),
        ("r101", {"unit": "1", "input": 0}, "conv1"),
    ],
)
def test_place_of_the_stride(name, options, strided):
    unit = "stage2_unit1_"
    found = [
        key[len(unit) :]
        for key, node in nodes(name, **options).items()
        if key.startswith(unit)
        and node["op"] == "Convolution"
        and node["attrs"]["stride"] == "(2, 2)"
    ]
    shortcut = "sc" if options["unit"] == "2" else "conv1sc"
    assert sorted(found) == sorted([strided, shortcut])


def test_first_stage_after_the_imagenet_stem_keeps_its_size():
    assert nodes("r18")["stage1_unit1_conv2"]["attrs"]["stride"] == "(2, 2)"
    assert nodes("r18", input=0)["stage1_unit1_conv2"]["attrs"]["stride"] == "(1, 1)"


def test_resnext_groups():
    graph = nodes("r101", unit="3_x")
    groups = [graph[f"stage1_unit1_conv{k}"]["attrs"]["num_group"] for k in (1, 2, 3)]
    assert groups == ["32", "32", "1"]
    assert graph["stage1_unit1_conv2"]["attrs"]["num_filter"] == "128"  # half of 256


def test_bottlenecks_are_those_of_2018():
    """r101 and above had bottlenecks; names that came later did not."""
    for name in BOTTLENECKS:
        assert "stage1_unit1_conv3" in nodes(name)
    for name in ("r100", "r134", "r136", "r140", "r160"):
        assert "stage1_unit1_conv3" not in nodes(name)


def test_squeeze_excitation_names_and_shapes():
    symbol = build_network("r18", NetworkOptions(se=1))
    shapes = symbol.infer_shape(data=(1, 3, 112, 112))[0]
    named = dict(zip(symbol.list_arguments(), shapes, strict=True))
    found = {
        k.removeprefix("stage4_unit2_se_"): v
        for k, v in named.items()
        if "t4_unit2_se" in k or "stage4_unit2_se" in k
    }
    assert found == {
        "conv1_weight": (32, 512, 1, 1),
        "conv1_bias": (32,),
        "relu1_gamma": (32,),
        "conv2_weight": (512, 32, 1, 1),
        "conv2_bias": (512,),
    }


def test_squeeze_excitation_weighs_the_last_batch_norm():
    graph = list(nodes("r18", se=1).values())
    scale = next(node for node in graph if node["name"] == "stage1_unit1_se_scale")
    assert graph[scale["inputs"][0][0]]["name"] == "stage1_unit1_bn3"


def test_input_2_normalises_the_data():
    graph = nodes("r18", input=2)
    assert graph["bn_data"]["attrs"]["fix_gamma"] == "True"
    assert not any("scalar" in name for name in graph)


def batch_norms(name, **options):
    return {k: n["attrs"] for k, n in nodes(name, **options).items() if n["op"] == "BatchNorm"}


def test_batch_norms_of_the_resnets():
    norms = batch_norms("r18", se=1)
    assert len(norms) == 31
    for key, attrs in norms.items():
        assert float(attrs["eps"]) == 2e-5
        assert float(attrs["momentum"]) == 0.9
        assert attrs["fix_gamma"] == str(key == "fc1")


@pytest.mark.parametrize(
    ("name", "options", "fixed"),
    [
        ("y1", {"output": "GDC"}, {"fc1"}),
        ("m1", {}, None),  # all but bn1
        ("p68", {}, {"fc1"}),
    ],
)
def test_batch_norms_with_the_default_epsilon(name, options, fixed):
    resnet_made = ("bn0", "bn1", "fc1", "head_")
    for key, attrs in batch_norms(name, **options).items():
        assert float(attrs["eps"]) == (2e-5 if key.startswith(resnet_made) else 1e-3), key
        expected = key != "bn1" if fixed is None else key in fixed
        assert attrs["fix_gamma"] == str(expected), key


def test_momentum_reaches_the_body_of_mobilefacenet_only():
    norms = batch_norms("y1", output="GDC", bn_mom=0.5)
    kept = {key for key, attrs in norms.items() if float(attrs["momentum"]) == 0.9}
    assert kept == {"conv_6dw7_7_batchnorm", "fc1"}
    assert {float(norms[key]["momentum"]) for key in norms if key not in kept} == {0.5}

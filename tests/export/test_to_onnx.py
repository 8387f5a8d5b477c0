"""Each family of networks gives in onnxruntime what it gives in MXNet, and the file says how."""

import re

from arcface_mxnet.checkpoints.embedding_part import load_slim
from arcface_mxnet.checkpoints.load import load_checkpoint, save_checkpoint
from arcface_mxnet.checkpoints.network import StoredNetwork
from arcface_mxnet.engines.conversion import checkpoint_to_onnx, to_onnx
from arcface_mxnet.export.crops import read_crops
from arcface_mxnet.export.to_onnx import compare, main
from arcface_mxnet.networks import NETWORKS
import cv2
import numpy as np
import onnx
import pytest

SIZE = (112, 112)
SMALL = (48, 48)  # pixels; the large networks are as exact on small images
FAMILIES = {
    "r18": ({"se": 1}, SIZE), "resnet50v2": ({}, SMALL),
    "m05": ({}, SIZE), "m2": ({}, SMALL), "y1": ({"output": "GDC"}, SIZE),
    "y2": ({"output": "GNAP"}, SIZE), "d121": ({}, SMALL), "p68": ({}, SMALL),
    "i2": ({}, SMALL), "s20": ({}, SMALL),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_family_agrees(name, initialised, crops):
    options, size = FAMILIES[name]
    network = initialised(name, size, emb_size=32, **options)
    model = to_onnx(*network, size)
    images = np.stack([cv2.resize(crop, size) for crop in crops])
    assert compare(StoredNetwork.of(*network), model, images).is_faithful


def test_every_family_is_swept():
    families = {re.match("[a-z]+", name)[0] for name in NETWORKS}
    assert families == {re.match("[a-z]+", name)[0] for name in FAMILIES}


def test_published_slope_shape_and_free_batch(checkpoint):
    model = checkpoint_to_onnx(checkpoint)
    constants = {c.name: tuple(c.dims) for c in model.graph.initializer}
    assert constants["conv_1_relu_gamma"] == (64, 1, 1)
    assert not [name for name in constants if name.startswith("fc7")]
    (data,), (embedding,) = model.graph.input, model.graph.output
    assert data.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert embedding.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert embedding.type.tensor_type.shape.dim[1].dim_value == 16


def test_metadata_say_what_goes_in_and_comes_out(checkpoint):
    facts = {p.key: p.value for p in checkpoint_to_onnx(checkpoint).metadata_props}
    assert facts["input_range"] == "0..255"
    assert facts["color_order"] == "RGB"
    assert facts["embedding_size"] == "16"
    assert facts["template"].startswith("38.2946,51.6963;73.5318,51.5014;")
    assert facts["layout"] == "NCHW" and facts["normalized"] == "no"


def test_metadata_tell_height_before_width(initialised):
    network = initialised("y2", (112, 96), emb_size=8, output="GNAP")
    facts = {p.key: p.value for p in to_onnx(*network, (112, 96)).metadata_props}
    assert facts["image_size"] == "112,96"
    assert facts["template"].startswith("30.2946,51.6963;")


def test_command_writes_a_checked_file(checkpoint, crops, tmp_path, capsys):
    for i, crop in enumerate(crops):
        (tmp_path / "crops" / str(i)).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "crops" / str(i) / "a.png"), crop[:, :, ::-1])
    np.testing.assert_array_equal(read_crops(tmp_path / "crops", (112, 112), limit=9), crops)
    output = tmp_path / "y1.onnx"
    arguments = ["--model", checkpoint, "--output", str(output), "--check", str(tmp_path / "crops")]
    assert main([*arguments, "--opset", "12"]) == 0
    onnx.checker.check_model(str(output), full_check=True)
    model = onnx.load(output)
    assert [entry.version for entry in model.opset_import] == [12]
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert "against MXNet on 3 images: lowest cosine 1.00000" in facts["compared"]
    assert "on 3 images: lowest cosine 1.00000" in capsys.readouterr().out


def test_no_needless_node_stands_at_the_end(checkpoint):
    for fold in (True, False):
        model = checkpoint_to_onnx(checkpoint, fold=fold)
        assert "Identity" not in [node.op_type for node in model.graph.node]
        assert list(model.graph.node[-1].output) == ["fc1"]
        older = onnx.version_converter.convert_version(model, 15)  # which an Identity stopped
        assert [entry.version for entry in older.opset_import] == [15]


def test_another_opset_is_refused(checkpoint, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--model", checkpoint, "--opset", "10"])
    assert ended.value.code == 2
    assert "argument --opset: invalid choice: 10" in capsys.readouterr().err


def test_errors_say_what_to_do(checkpoint, crops, tmp_path, capsys):
    network = load_slim(checkpoint)
    with pytest.raises(
        ValueError, match=r"pre_fc1_weight is \(3, 4\), the symbol reads \(16, 512\)"
    ):
        to_onnx(
            network[0],
            network[1] | {"pre_fc1_weight": network[1]["pre_fc1_weight"][:3, :4]},
            network[2],
        )
    with pytest.raises(ValueError, match=r"does not take images of shape \(3, 20, 20\)"):
        to_onnx(*network, (20, 20))
    assert main(["--model", checkpoint, "--image-size", "112"]) == 2
    assert "give HEIGHT,WIDTH in pixels" in capsys.readouterr().err
    assert main(["--model", checkpoint, "--check", str(tmp_path)]) == 2
    assert "no image below it" in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / "small.png"), crops[0][:50])
    with pytest.raises(ValueError, match="50,112 pixels, not 112,112: align"):
        read_crops(tmp_path, (112, 112), limit=9)
    (tmp_path / "small.png").write_bytes(b"not a png")
    with pytest.raises(ValueError, match="no image that OpenCV can decode"):
        read_crops(tmp_path, (112, 112), limit=9)


def test_a_disagreement_is_seen(checkpoint, crops):
    network = load_slim(checkpoint)
    model = to_onnx(*network)
    changed = {**network[1], "pre_fc1_weight": network[1]["pre_fc1_weight"] * 0.5 + 0.01}
    assert not compare(StoredNetwork.of(network[0], changed, network[2]), model, crops).is_faithful


def test_what_disagrees_is_not_written(checkpoint, tmp_path, capsys):
    """A checkpoint that holds nan gives a cosine of nan, which is below nothing."""
    symbol, arg_params, aux_params = load_checkpoint(checkpoint)
    arg_params["pre_fc1_bias"][:] = float("nan")
    save_checkpoint(f"{tmp_path}/bad", 1, symbol, arg_params, aux_params)
    assert main(["--model", f"{tmp_path}/bad,1"]) == 2
    assert "disagree, lowest cosine nan" in capsys.readouterr().err
    assert not (tmp_path / "bad.onnx").exists()


def test_parameters_of_other_layers_are_left_aside(checkpoint):
    symbol, arg_params, aux_params = load_slim(checkpoint)
    others = arg_params | {"fc7_weight": arg_params["pre_fc1_weight"]}
    expected = to_onnx(symbol, arg_params, aux_params)
    assert to_onnx(symbol, others, aux_params) == expected

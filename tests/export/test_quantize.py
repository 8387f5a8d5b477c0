"""INT8: smaller, near to the float network, and the cost is printed."""

import re

from arcface_mxnet.checkpoints.network import read_network
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.engines.conversion import checkpoint_to_onnx, convert
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.export.quantize import main, quantize
import cv2
import numpy as np
import onnx
import pytest


@pytest.fixture
def folder(crops, tmp_path):
    for number, crop in enumerate([*crops, *crops[:, ::-1], *crops[:, :, ::-1]]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), crop[:, :, ::-1])
    return tmp_path


def test_quantised_network_is_near_the_float_one(checkpoint, crops):
    model = checkpoint_to_onnx(checkpoint)
    before = model.SerializeToString()
    quantized = quantize(model, crops)
    assert model.SerializeToString() == before  # the given model is left as it is
    assert quantized.ByteSize() < 0.45 * len(before)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {n.op_type for n in quantized.graph.node}
    one, other = (Embedder(m)(crops) for m in (before, quantized.SerializeToString()))
    assert (one * other).sum(axis=1).min() > 0.9
    assert not np.array_equal(one, other)


def test_the_quantised_file_claims_no_original(checkpoint, crops):
    quantized = quantize(checkpoint_to_onnx(checkpoint, fold=False), crops)
    kept = {entry.key for entry in quantized.metadata_props}
    assert "fingerprint" in kept and not {"symbol", "parameters"} & kept


def test_an_opset_without_channels_of_its_own_is_refused(checkpoint, crops):
    network = read_network(checkpoint)
    with pytest.raises(ValueError, match="opset 12 quantises a whole tensor alike; export it"):
        quantize(convert(network, opset=12), crops)
    quantized = quantize(convert(network, opset=13), crops)
    assert [entry.version for entry in quantized.opset_import if not entry.domain] == [13]


def test_command_prints_the_cost(checkpoint, folder, tmp_path, capsys):
    images = [path.read_bytes() for path in sorted(folder.glob("*.png"))][:8]
    write_pair_set(tmp_path / "pack.bin", PairSet(images, np.array([1, 0, 1, 0], bool)))
    output = tmp_path / "int8.onnx"
    arguments = ["--model", checkpoint, "--calibration", str(folder), "--output", str(output)]
    pack = ["--pack", str(tmp_path / "pack.bin"), "--nfolds", "2"]
    assert main([*arguments, *pack]) == 0
    printed = capsys.readouterr().out
    cosine = float(re.search(r"on 4 other crops: mean [\d.]+, lowest ([\d.]+)", printed)[1])
    assert 0.9 < cosine <= 1
    assert "float accuracy on 4 pairs" in printed and "int8 accuracy on 4 pairs" in printed
    assert onnx.load(output).metadata_props


def test_bad_input_is_refused_before_the_work(checkpoint, folder, tmp_path, capsys):
    def error(*arguments):
        assert main(["--model", checkpoint, *arguments]) == 2
        return capsys.readouterr().err

    assert "at least 2 crops" in error("--calibration", str(folder), "--limit", "1")
    (tmp_path / "empty").mkdir()
    assert "no image" in error("--calibration", str(tmp_path / "empty"))
    images = [(folder / "0.png").read_bytes()] * 4
    write_pair_set(tmp_path / "pack.bin", PairSet(images, np.array([1, 0], bool)))
    pack = ["--pack", str(tmp_path / "pack.bin"), "--nfolds", "10"]
    assert "fold" in error("--calibration", str(folder), *pack)

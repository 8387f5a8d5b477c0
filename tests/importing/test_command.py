"""arcface-import: what it writes, what it says, and that a failure writes nothing."""

import logging

from arcface_mxnet.checkpoints.network import read_network
from arcface_mxnet.engines.reference import run_mxnet
from arcface_mxnet.importing import command
import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from arcface_mxnet.engines.conversion import checkpoint_to_onnx, write_model  # noqa: E402
from arcface_mxnet.importing.proof import face_like_crops  # noqa: E402

from tests.importing.foreign import SIZE, model, stored  # noqa: E402

FED = ["--input-color", "rgb", "--mean", "127.5", "--scale", "127.5"]


@pytest.fixture
def theirs(tmp_path):
    path = tmp_path / "theirs.onnx"
    path.write_bytes(model().SerializeToString())
    return path


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_it_writes_and_says(theirs, tmp_path, capsys, caplog):
    with caplog.at_level(logging.INFO):
        assert command.main([str(theirs), *FED]) == 0
    assert files(tmp_path) == ["theirs-0000.params", "theirs-symbol.json", "theirs.onnx"]
    said = capsys.readouterr().out
    assert "theirs,0: 11 parameters, images of 8x8; against the file on 8 smooth random" in said
    assert "lowest cosine 1.0000000" in said
    assert "1 biases became norms that scale and shift, and keep their statistics" in caplog.text
    network = read_network(f"{tmp_path / 'theirs'},0")
    assert run_mxnet(network, np.zeros((2, 3, *SIZE), np.float32))[0].shape == (2, 6)


def test_crops_give_norms_their_statistics(theirs, tmp_path, caplog):
    folder = tmp_path / "crops"
    folder.mkdir()
    for number, crop in enumerate(face_like_crops(SIZE, 33)):
        cv2.imwrite(str(folder / f"{number}.png"), crop[:, :, ::-1])
    with caplog.at_level(logging.INFO):
        assert command.main([str(theirs), *FED, "--crops", str(folder)]) == 0
    assert "1 biases became norms, with the statistics of 33 crops" in caplog.text
    graph = read_network(f"{tmp_path / 'theirs'},0").graph
    assert not any(node.get("use_global_stats", False) for node in graph.nodes)


def test_a_bias_is_kept_if_asked_for(theirs, tmp_path):
    assert command.main([str(theirs), *FED, "--keep-bias", "--prefix", str(tmp_path / "k")]) == 0
    names = read_network(f"{tmp_path / 'k'},0").parameters
    assert "conv_Conv_bias" in names and not any("norm" in n for n in names if "conv" in n)


def damaged(change):
    arrays = stored()
    change(arrays)
    return model(arrays=arrays).SerializeToString()


@pytest.mark.parametrize(
    ("options", "data", "reason"),
    [
        (FED[2:], None, "give --input-color, one of rgb, bgr"),
        (FED[:2], None, "what it is fed is not certain: give --mean and --scale"),
        ([*FED, "--image-size", "9,9"], None, "it takes images of 8x8"),
        ([*FED, "--output", "x"], None, "--output 'x': it has no such output"),
        (FED, b"<html>", "not an ONNX file"),
        (FED, damaged(lambda a: a.update({"norm.bias": np.full(6, np.nan)})), "are NaN or infin"),
    ],
)
def test_a_failure_writes_nothing(theirs, tmp_path, capsys, options, data, reason):
    if data is not None:
        theirs.write_bytes(data)
    assert command.main([str(theirs), *options]) == 2
    assert reason in capsys.readouterr().err
    assert files(tmp_path) == ["theirs.onnx"]


def test_a_wrong_symbol_is_not_written(theirs, tmp_path, monkeypatch, capsys):
    from arcface_mxnet.importing import from_onnx

    whole = from_onnx.import_onnx

    def wrong(*args, **options):
        imported = whole(*args, **options)
        weights = imported.network.parameters
        weights["fc1_gamma"] *= np.array([1, 1, 1, 1, 1, 0.9], np.float32)
        return imported

    monkeypatch.setattr(from_onnx, "import_onnx", wrong)
    assert command.main([str(theirs), *FED]) == 2
    assert "the symbol does not give what onnxruntime makes of the file" in capsys.readouterr().err
    assert files(tmp_path) == ["theirs.onnx"]


def test_an_export_comes_back_with_its_own_names(checkpoint, tmp_path):
    path = tmp_path / "y1.onnx"
    write_model(path, checkpoint_to_onnx(checkpoint, fold=False))
    assert command.main([str(path)]) == 0
    assert read_network(f"{tmp_path / 'y1'},0").fingerprint == read_network(checkpoint).fingerprint


def test_the_published_network_of_2018_comes_back(shared_data, tmp_path):
    published = f"{shared_data / 'published_y1' / 'model'},0"
    for fold in (False, True):
        path = tmp_path / f"y1-{fold}.onnx"
        write_model(path, checkpoint_to_onnx(published, fold=fold))
        assert command.main([str(path)]) == 0
    again = read_network(f"{tmp_path / 'y1-False'},0")
    assert again.fingerprint == read_network(published).fingerprint

"""Which detector a name or a folder opens, and the flags of every script that detects."""

import argparse

from arcface_mxnet.align import detectors
from arcface_mxnet.align.arguments import add_detector_arguments, chosen_detector
from arcface_mxnet.align.detectors import DETECTORS, open_detector
from arcface_mxnet.engines.arguments import add_engine_arguments
from arcface_mxnet.registry import Registry
import pytest


@pytest.fixture
def opened(monkeypatch):
    """Return two detectors that only note how they were opened, in place of the real ones."""
    registry = Registry("detector", "--detector")

    def register(name, mark):
        def open_one(ctx, **options):
            return name, ctx, options

        open_one.is_in = lambda folder: (folder / mark).is_file()
        registry.register(name)(open_one)

    register("another", "another.onnx")
    register("mtcnn", "det1-symbol.json")
    monkeypatch.setattr(detectors, "DETECTORS", registry)


def test_a_name_opens_it_from_its_usual_folder(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_detector("another", 0) == ("another", 0, {"engine": "auto", "min_size": 20})
    assert open_detector("mtcnn", engine="mxnet", min_size=3)[::2] == (
        "mtcnn",
        {"engine": "mxnet", "min_size": 3},
    )


@pytest.mark.parametrize(
    "mark, name", [("another.onnx", "another"), ("det1-symbol.json", "mtcnn"), ("x", "mtcnn")]
)
def test_a_folder_opens_the_detector_that_lies_there(opened, tmp_path, mark, name):
    (tmp_path / mark).touch()
    found, _, options = open_detector(tmp_path)
    assert found == name and options["model_dir"] == tmp_path


def test_a_folder_called_like_a_detector_is_a_folder(opened, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "another").mkdir()
    (tmp_path / "another/det1-symbol.json").touch()
    name, _, options = open_detector("another")
    assert name == "mtcnn" and str(options["model_dir"]) == "another"


def test_own_options_reach_only_the_detector_they_are_of(opened, tmp_path):
    own = {"mtcnn": {"factor": 0.9}}
    assert open_detector("mtcnn", own=own)[2]["factor"] == 0.9
    assert "factor" not in open_detector("another", own=own)[2]


def test_neither_a_name_nor_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"no detector in {tmp_path}/mtcn; fetch it"):
        open_detector("mtcn", -1, engine="onnxruntime")


def test_every_detector_tells_its_folder_and_has_a_usual_one(tmp_path):
    assert DETECTORS.names() == ["mtcnn", "yunet"]
    for name in DETECTORS:
        assert not DETECTORS[name].is_in(tmp_path)
        with pytest.raises(FileNotFoundError, match="no detector in"):
            DETECTORS[name](-1, engine="onnxruntime", min_size=9, model_dir=tmp_path)


def test_the_flags_reach_the_detector(opened, tmp_path):
    parser = argparse.ArgumentParser()
    add_engine_arguments(parser)
    add_detector_arguments(parser, min_size=40)
    given = ["--gpu", "-1", "--engine", "mxnet", "--detector", str(tmp_path)]
    options = {"engine": "mxnet", "min_size": 40, "model_dir": tmp_path}
    assert chosen_detector(parser.parse_args(given)) == ("mtcnn", -1, options)
    given += ["--min-size", "7"]
    _, _, options = chosen_detector(parser.parse_args(given), {"mtcnn": {"factor": 0.5}})
    assert options["min_size"] == 7 and options["factor"] == 0.5
    assert str(parser.parse_args([]).detector) == "models/mtcnn"


def test_a_script_that_knows_the_size_has_no_flag_for_it(opened, tmp_path):
    parser = argparse.ArgumentParser()
    add_engine_arguments(parser)
    add_detector_arguments(parser, "--model-dir", min_size=None)
    arguments = parser.parse_args(["--gpu", "-1", "--model-dir", str(tmp_path)])
    assert "min_size" not in arguments
    assert chosen_detector(arguments)[2]["model_dir"] == tmp_path
    with pytest.raises(SystemExit):
        parser.parse_args(["--min-size", "3"])

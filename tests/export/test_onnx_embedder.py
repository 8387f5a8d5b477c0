"""Both engines give the same embeddings through the same call, and the choice is explained."""

from arcface_mxnet.embedder import Embedder
from arcface_mxnet.export import engine
from arcface_mxnet.export.conversion import checkpoint_to_onnx, write_model
from arcface_mxnet.export.engine import choose_engine, open_embedder
from arcface_mxnet.export.onnx_embedder import OnnxEmbedder
import mxnet as mx
import numpy as np
import onnx
import pytest


@pytest.fixture
def onnx_file(checkpoint, tmp_path):
    path = tmp_path / "y1.onnx"
    write_model(path, checkpoint_to_onnx(checkpoint))
    return str(path)


@pytest.mark.parametrize("options", [{}, {"flip": False}, {"normalize": False}])
def test_engines_agree(checkpoint, onnx_file, crops, options):
    expected = open_embedder(checkpoint, "mxnet", batch_size=2, **options)(crops)
    for model in (checkpoint, onnx_file):
        actual = open_embedder(model, "onnxruntime", batch_size=2, **options)(crops)
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5)


def test_the_default_engine(checkpoint, onnx_file, monkeypatch):
    assert isinstance(open_embedder(checkpoint), OnnxEmbedder)
    assert isinstance(open_embedder(onnx_file), OnnxEmbedder)
    assert choose_engine(checkpoint, ctx=mx.gpu()) == "mxnet"
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    assert isinstance(open_embedder(checkpoint), Embedder)
    with pytest.raises(ValueError, match="not installed: pip install onnx onnxruntime"):
        choose_engine(checkpoint, "onnxruntime")


def test_engines_that_cannot_run_the_model(checkpoint):
    with pytest.raises(ValueError, match="engine 'tvm': known are auto, onnxruntime, mxnet"):
        choose_engine(checkpoint, "tvm")
    with pytest.raises(ValueError, match="not ONNX files"):
        choose_engine("y1.onnx", "mxnet")
    with pytest.raises(ValueError, match="for a GPU give engine mxnet"):
        choose_engine(checkpoint, "onnxruntime", mx.gpu())
    with pytest.raises(ValueError, match="for a GPU give a checkpoint PREFIX,NUMBER"):
        choose_engine("y1.onnx", "auto", mx.gpu())


def test_bad_files_and_sizes(onnx_file, crops, tmp_path):
    with pytest.raises(FileNotFoundError, match="no ONNX file .*absent.onnx"):
        OnnxEmbedder(tmp_path / "absent.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(ValueError, match="junk.onnx: not an ONNX file that can be run"):
        OnnxEmbedder(tmp_path / "junk.onnx")
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    with pytest.raises(ValueError, match="does not say that it takes raw RGB"):
        OnnxEmbedder(model.SerializeToString())
    with pytest.raises(ValueError, match="images are 112x96 .* takes 112x112"):
        OnnxEmbedder(onnx_file)(crops[:, :, :96])

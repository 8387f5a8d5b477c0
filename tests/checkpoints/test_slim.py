"""A slim checkpoint embeds as the training one did, and leaves that one alone."""

from pathlib import Path

from arcface_mxnet.checkpoints.embedding_part import load_slim, slim
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.checkpoints.slim import main
from arcface_mxnet.export.gluon_block import load_block
import mxnet as mx
import numpy as np
import pytest


def run_mxnet(symbol, arg_params, aux_params, data):
    """Return the first output by MXNet's own operators."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(arg_params, aux_params)
    return executor.forward(is_train=False, data=mx.nd.array(data))[0].asnumpy()


def files(checkpoint):
    folder = Path(checkpoint).parent
    return {path.name: path.read_bytes() for path in folder.glob("y1-*") if "slim" not in path.name}


def test_slim_cuts_at_the_embedding_and_leaves_the_training_files(checkpoint, crops, capsys):
    before = files(checkpoint)
    assert main(["--model", checkpoint]) == 0
    assert files(checkpoint) == before
    prefix = checkpoint.rpartition(",")[0]
    assert "y1-slim,0: 0.96 M" in capsys.readouterr().out
    symbol, arg_params, aux_params = load_checkpoint(f"{prefix}-slim,0")
    assert symbol.list_outputs() == ["fc1_output"]
    assert not [name for name in arg_params if name.startswith("fc7")]
    full, full_args, full_auxs = load_checkpoint(checkpoint)
    del full_args["fc7_weight"]
    data = crops.transpose(0, 3, 1, 2).astype(np.float32)
    expected = run_mxnet(full.get_internals()["fc1_output"], full_args, full_auxs, data)
    np.testing.assert_array_equal(run_mxnet(symbol, arg_params, aux_params, data), expected)


def test_slim_refuses_the_prefix_of_the_training_symbol(checkpoint, capsys):
    before = files(checkpoint)
    prefix = checkpoint.rpartition(",")[0]
    assert main(["--model", checkpoint, "--output", prefix]) == 2
    assert "whose training symbol would be overwritten" in capsys.readouterr().err
    roundabout = str(Path(prefix).parent / "x" / ".." / "y1")
    assert main(["--model", checkpoint, "--output", roundabout]) == 2
    assert files(checkpoint) == before


def test_slim_says_what_is_missing(checkpoint):
    symbol, arg_params, aux_params = load_checkpoint(checkpoint)
    with pytest.raises(ValueError, match="no output 'fc1_output'"):
        slim(mx.sym.var("data") * 2, {}, {})
    del arg_params["pre_fc1_weight"]
    with pytest.raises(ValueError, match="lack pre_fc1_weight, which the symbol reads"):
        slim(symbol, arg_params, aux_params)


def test_gluon_block_gives_the_same_embeddings(checkpoint, crops):
    data = crops.transpose(0, 3, 1, 2).astype(np.float32)
    block = load_block(checkpoint)
    expected = run_mxnet(*load_slim(checkpoint), data)
    np.testing.assert_allclose(block(mx.nd.array(data)).asnumpy(), expected, rtol=1e-4, atol=1e-5)
    assert "fc7_weight" not in block.collect_params()

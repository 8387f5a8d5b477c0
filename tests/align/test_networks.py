from arcface_mxnet.align.networks import open_network
from arcface_mxnet.checkpoints.load import save_checkpoint
from arcface_mxnet.engines.choice import Engine
import mxnet as mx
import numpy as np
import pytest


def save(prefix, symbol, leave_out=()):
    shapes, _, _ = symbol.infer_shape(data=(1, 3, 4, 4))
    rng = np.random.default_rng(1)
    parameters = {
        name: mx.nd.array(rng.normal(size=shape))
        for name, shape in zip(symbol.list_arguments(), shapes, strict=True)
        if name != "data" and not name.endswith("_label") and name not in leave_out
    }
    save_checkpoint(str(prefix), 1, symbol, parameters, {})
    return parameters


def two_heads():
    """Return a network with a softmax layer as old checkpoints have it, which wants a label."""
    body = mx.sym.Variable("data")
    logits = mx.sym.FullyConnected(body, num_hidden=2, name="conv5_1")
    boxes = mx.sym.FullyConnected(body, num_hidden=4, name="conv5_2")
    return mx.sym.Group([boxes, mx.sym.SoftmaxOutput(logits, name="prob1")])


@pytest.mark.parametrize("engine", ["mxnet", "onnxruntime"])
def test_runs_any_number_of_images_and_needs_no_label(tmp_path, engine):
    parameters = save(tmp_path / "det2", two_heads())
    network = open_network(f"{tmp_path}/det2,1", Engine(engine, (-1,)), (4, 4))
    for count in (1, 5, 2):
        data = np.random.default_rng(count).normal(size=(count, 3, 4, 4)).astype(np.float32)
        outputs = {output.shape[1]: output for output in network.run(data)}
        expected = {
            channels: data.reshape(count, -1) @ parameters[f"{name}_weight"].asnumpy().T
            + parameters[f"{name}_bias"].asnumpy()
            for channels, name in ((2, "conv5_1"), (4, "conv5_2"))
        }
        assert np.allclose(outputs[4], expected[4], atol=1e-4)
        odds = np.exp(expected[2] - expected[2].max(1, keepdims=True))
        assert np.allclose(outputs[2], odds / odds.sum(1, keepdims=True), atol=1e-4)


def test_a_checkpoint_without_a_parameter_is_refused(tmp_path):
    save(tmp_path / "det2", two_heads(), leave_out=("conv5_2_bias",))
    with pytest.raises(ValueError, match="the parameters lack conv5_2_bias"):
        open_network(f"{tmp_path}/det2,1", Engine("onnxruntime", (-1,)), (4, 4))


def fully_convolutional():
    """Return a network for images of any size, as det1 is."""
    body = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="conv1")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="prelu1")
    body = mx.sym.Pooling(
        body, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full"
    )
    logits = mx.sym.Convolution(body, kernel=(1, 1), num_filter=2, name="conv4_1")
    return mx.sym.SoftmaxActivation(logits, mode="channel", name="prob1")


def test_both_engines_take_images_of_any_size(tmp_path):
    save(tmp_path / "det1", fully_convolutional())
    mine, library = (
        open_network(f"{tmp_path}/det1,1", Engine(engine, (-1,)), None)
        for engine in ("mxnet", "onnxruntime")
    )
    for height, width in ((12, 12), (31, 40), (13, 12), (64, 33)):
        data = np.random.default_rng(height).normal(size=(1, 3, height, width)).astype(np.float32)
        (expected,), (found,) = mine.run(data), library.run(data)
        assert expected.shape == found.shape
        assert np.abs(expected - found).max() < 1e-5

from arcface_mxnet.align.bound import BoundNetwork
from arcface_mxnet.training.checkpoints import save_checkpoint
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


def test_runs_any_number_of_images_and_needs_no_label(tmp_path):
    parameters = save(tmp_path / "det2", two_heads())
    network = BoundNetwork(f"{tmp_path}/det2,1", mx.cpu())
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
    with pytest.raises(ValueError, match="det2,1' lacks conv5_2_bias"):
        BoundNetwork(f"{tmp_path}/det2,1", mx.cpu())

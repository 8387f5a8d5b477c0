"""What is verified while training is what is saved: the very network of the checkpoint."""

from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.checkpoints.params import read_params
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.training import recorder
from arcface_mxnet.training.loop import train
import mxnet as mx
import numpy as np
import pytest

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def verified(monkeypatch):
    """Return the list of embeddings that each verification of a run saw, of IMAGES."""
    seen = []
    validate = recorder.validate

    def watched(embedder, *others):
        seen.append(embedder.plain_and_flipped(IMAGES))
        return validate(embedder, *others)

    monkeypatch.setattr(recorder, "validate", watched)
    return seen


@pytest.mark.parametrize("devices", [1, 2])
def test_the_verified_network_is_the_saved_one(options, verified, devices):
    options |= {"per_batch_size": 6, "lr": 0.1}
    train(TrainConfig(**options, max_steps=8, ckpt=2), [mx.cpu(i) for i in range(devices)])
    assert len(verified) == 2
    for number, (plain, flipped) in enumerate(verified, start=1):
        for engine in ("onnxruntime", "mxnet"):
            saved = Embedder(f"{options['prefix']},{number}", engine=engine)
            expected = saved.plain_and_flipped(IMAGES)
            np.testing.assert_allclose(plain, expected[0], rtol=1e-3, atol=2e-4)
            np.testing.assert_allclose(flipped, expected[1], rtol=1e-3, atol=2e-4)
    assert np.abs(verified[0][0] - verified[1][0]).max() > 0.01  # parameters were taken anew


def test_statistics_of_one_device_alone_would_be_another_network(options, verified):
    """So that the test above can fail: the devices' own statistics do differ."""
    options |= {"per_batch_size": 6, "lr": 0.1}
    train(TrainConfig(**options, max_steps=8, ckpt=2), [mx.cpu(0), mx.cpu(1)])
    symbol, arg_params, aux_params = load_checkpoint(f"{options['prefix']},2")
    state = read_params(f"{options['prefix']}-last.params")
    own = {name: mx.nd.array(state[f"state:aux0:{name}"]) for name in aux_params}
    alone = Embedder.from_parameters(symbol, arg_params, own, normalize=False, flip=False)
    assert np.abs(alone(IMAGES) - verified[-1][0]).max() > 0.01


def test_a_verification_that_fails_does_not_cost_what_was_learned(options, monkeypatch):
    def fails(*arguments):
        raise ValueError("onnxruntime and MXNet disagree")

    monkeypatch.setattr(recorder, "validate", fails)
    with pytest.raises(ValueError, match="disagree"):
        train(TrainConfig(**options, max_steps=8))
    last = read_params(f"{options['prefix']}-last.params")
    assert b'"step": 4' in last["run:json"].tobytes()
    monkeypatch.undo()

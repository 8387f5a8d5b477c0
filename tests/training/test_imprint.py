"""The classifier that starts at the identities' mean embeddings."""

from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset, UnreadableError
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.training import imprint as module
from arcface_mxnet.training.imprint import identity_directions
from arcface_mxnet.training.loop import train
import mxnet as mx
import numpy as np
import pytest


@pytest.fixture
def pretrained(options, tmp_path):
    """Return a checkpoint of another run, with a classifier of its own."""
    return train(
        TrainConfig(**options | {"prefix": str(tmp_path / "first")}, max_steps=3)
    ).checkpoint


def plain_directions(checkpoint, folder, images):
    embed, dataset = Embedder(checkpoint), FaceDataset(folder)
    rows = []
    for identity in range(dataset.num_classes):
        keys = [k for k in dataset.image_keys if dataset.sample(k)[1] == identity][:images]
        mean = np.mean([embed(dataset.sample(k)[0][None])[0] for k in keys], axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return np.array(rows)


@pytest.mark.parametrize(("images", "at_once"), [(10, 4096), (3, 4096), (10, 8)])
def test_directions_are_mean_embeddings(options, pretrained, monkeypatch, images, at_once):
    monkeypatch.setattr(module, "IMAGES_PER_IDENTITY", images)
    monkeypatch.setattr(module, "IMAGES_AT_ONCE", at_once)
    dataset = FaceDataset(options["data_dir"])
    identities, directions = identity_directions(Embedder(pretrained, batch_size=5), dataset)
    assert identities.tolist() == list(range(6))
    wanted = plain_directions(pretrained, options["data_dir"], images)
    np.testing.assert_allclose(directions, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ctx", [[mx.cpu()], [mx.cpu(0), mx.cpu(1)]])
def test_a_run_starts_there(options, pretrained, ctx):
    run = options | {"pretrained": pretrained, "fc7_init": "imprint", "lr": 0.0}
    done = train(TrainConfig(**run, max_steps=1), ctx).checkpoint
    weight = load_checkpoint(done)[1]["fc7_weight"].asnumpy()
    wanted = plain_directions(pretrained, options["data_dir"], 10)
    np.testing.assert_allclose(weight, wanted, rtol=1e-4, atol=1e-5)


def test_an_identity_that_is_left_out_keeps_the_row_drawn(options, pretrained):
    dataset = FaceDataset(options["data_dir"])
    dataset.keys_by_identity = [k for i, k in enumerate(dataset.keys_by_identity) if i != 2]
    symbol, args, aux = load_checkpoint(pretrained)
    drawn = args["fc7_weight"].asnumpy().copy()
    module.imprint(symbol, args, aux, [mx.cpu()], dataset, 5)
    changed = (args["fc7_weight"].asnumpy() != drawn).any(axis=1)
    assert changed.tolist() == [True, True, False, True, True, True]


def test_records_that_do_not_decode_are_left_out_of_the_mean(options, pretrained, monkeypatch):
    """Of identity 1 an image, of identity 4 all."""
    bad = {6, *range(17, 21)}
    sample = FaceDataset.sample

    def spoilt(self, key):
        if key in bad:
            raise UnreadableError(f"record {key}: no image")
        return sample(self, key)

    dataset = FaceDataset(options["data_dir"])
    whole = identity_directions(Embedder(pretrained, batch_size=5), dataset)[1]
    monkeypatch.setattr(FaceDataset, "sample", spoilt)
    embedder = Embedder(pretrained, batch_size=5)
    identities, directions = identity_directions(embedder, dataset, max_bad=5)
    assert identities.tolist() == [0, 1, 2, 3, 5]
    rest = np.mean([embedder(sample(dataset, k)[0][None])[0] for k in (5, 7, 8)], axis=0)
    np.testing.assert_allclose(directions[1], rest / np.linalg.norm(rest), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(directions[[0, 2, 3, 4]], whole[[0, 2, 3, 5]], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"do not decode: 2; --max-bad allows 1 .*record 17: no"):
        identity_directions(embedder, dataset)


def test_going_on_does_not_imprint_again(options, pretrained):
    run = options | {"pretrained": pretrained, "fc7_init": "imprint"}
    train(TrainConfig(**run, max_steps=2))
    resumed = train(TrainConfig(**run, max_steps=4, resume=True)).checkpoint
    whole = options | {"prefix": options["prefix"] + "-whole"}
    never_stopped = train(
        TrainConfig(**whole, pretrained=pretrained, fc7_init="imprint", max_steps=4)
    ).checkpoint
    for name, value in load_checkpoint(never_stopped)[1].items():
        np.testing.assert_array_equal(load_checkpoint(resumed)[1][name].asnumpy(), value.asnumpy())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pretrained": ""}, "--fc7-init imprint needs --pretrained"),
        ({"pretrained": "", "resume": True}, "--fc7-init imprint needs --pretrained"),
        ({"loss_type": "subcenter-arcface"}, "loss subcenter-arcface has no classifier of one row"),
        (
            {"loss_type": "12", "margin_s": 64.0, "margin_m": 0.5, "per_batch_size": 6},
            "loss 12 has no classifier",
        ),
    ],
)
def test_refused(options, changed, message):
    run = options | {"pretrained": "given,1", "fc7_init": "imprint"} | changed
    with pytest.raises(ValueError, match=message):
        train(TrainConfig(**run, max_steps=1))

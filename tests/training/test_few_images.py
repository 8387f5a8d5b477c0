"""Batches too small for the normalisation after the last feature map: refused, or told."""

import logging

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS, Network, NetworkOptions, build_network
from arcface_mxnet.training.few_images import norms_of_few
from arcface_mxnet.training.frozen import frozen_statistics
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.memory import GB, estimate_memory
from arcface_mxnet.training.plan import make_plan
import mxnet as mx
import numpy as np
import pytest


def build_without(options):
    """Return a network whose embedding no normalisation follows."""
    data = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(data, num_filter=4, kernel=(3, 3), no_bias=True, name="conv0")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    return mx.sym.FullyConnected(net, num_hidden=options.emb_size, name="fc1")


@pytest.fixture
def without(options, monkeypatch):
    entry = Network(build_without, mx.init.Xavier, frozenset({"emb_size"}))
    monkeypatch.setitem(NETWORKS._entries, "without", entry)
    return options | {"network": "without"}


@pytest.mark.parametrize(
    ("head", "one"),
    [("E", ["fc1"]), ("J", ["fc1"]), ("GDC", ["conv_6dw7_7_batchnorm", "fc1"]), ("F", []),
     ("GNAP", ["fc1"]), ("D", ["fc1_bn"])],
)  # fmt: skip
def test_which_see_one_value_is_read_from_the_graph(head, one):
    size = 512 if head == "GNAP" else 16
    symbol = build_network("r18", NetworkOptions(output=head, emb_size=size))
    assert norms_of_few(symbol, {"data": (1, 3, 112, 112)}, 1) == one
    assert norms_of_few(symbol, {"data": (2, 3, 112, 112)}, 1) == []
    assert norms_of_few(symbol, {"data": (2, 3, 112, 112)}, 2) == one
    assert norms_of_few(frozen_statistics(symbol), {"data": (1, 3, 112, 112)}, 1) == []


def test_the_axis_counts():
    symbol = mx.sym.BatchNorm(mx.sym.Variable("data"), axis=3, name="last")
    assert norms_of_few(symbol, {"data": (1, 1, 1, 8)}, 1) == ["last"]
    assert norms_of_few(symbol, {"data": (1, 8, 1, 1)}, 1) == []


@pytest.mark.parametrize("accumulate", [1, 4])
def test_one_image_per_device_is_refused(options, accumulate):
    run = options | {"per_batch_size": 1, "accumulate": accumulate}
    with pytest.raises(ValueError, match=r"--per-batch-size 1: BatchNorm 'fc1' would see one"):
        make_plan(TrainConfig(**run), [mx.cpu(0), mx.cpu(1)])


def test_two_are_told_and_three_are_not(options, caplog):
    caplog.set_level(logging.WARNING)
    make_plan(TrainConfig(**options | {"per_batch_size": 3}))
    assert "per channel" not in caplog.text
    make_plan(TrainConfig(**options | {"per_batch_size": 2}))
    assert "BatchNorm 'fc1' sees two values per channel" in caplog.text


def test_the_reason_given_is_true():
    """What passes through a normalisation of one, two and three values."""

    def gradient(values):
        rng = np.random.RandomState(values)
        data, weights = (mx.nd.array(rng.randn(values, 64)) for _ in range(2))
        data.attach_grad()
        ones, zeros = mx.nd.ones((64,)), mx.nd.zeros((64,))
        with mx.autograd.record():
            normed = mx.nd.BatchNorm(data, ones, zeros, zeros.copy(), ones.copy(), eps=2e-5)
            loss = (normed * weights).sum()
        loss.backward()
        return np.median(np.abs(data.grad.asnumpy()))

    assert gradient(1) == 0
    assert gradient(2) < gradient(3) / 1000


def test_one_image_trains_where_nothing_stands_in_the_way(without, options, tmp_path):
    make_plan(TrainConfig(**without | {"per_batch_size": 1}))
    first = train(TrainConfig(**options, max_steps=1)).checkpoint
    run = options | {"pretrained": first, "freeze_bn": 1, "per_batch_size": 1}
    make_plan(TrainConfig(**run | {"prefix": str(tmp_path / "fine")}))


def limit_for(run, images):
    """Return --memory-limit, in GB, under which so many images per device would fit."""
    estimate = estimate_memory(make_plan(TrainConfig(**run)))
    per_image = (estimate.activations + estimate.logits) / run["per_batch_size"]
    fixed = estimate.total - per_image * run["per_batch_size"]
    return (fixed + (images + 0.5) * per_image) / GB


def advice(run, images, ctx=None):
    with pytest.raises(ValueError, match="more than --memory-limit") as caught:
        train(TrainConfig(**run, memory_limit=limit_for(run, images)), ctx)
    return str(caught.value).split("GB; ")[1]


def test_the_advice_is_no_batch_that_cannot_learn(options, without):
    run = options | {"per_batch_size": 12}
    assert advice(run, 4) == (
        "--per-batch-size 4 would fit; --accumulate 3 with it keeps the images per step"
    )
    few = "would fit, too few for this loss and network to learn from: choose a smaller --network"
    assert advice(run, 1).startswith(f"1 {few}")
    assert advice(run, 2).startswith(f"2 {few}")
    assert advice(without | {"per_batch_size": 12}, 1).startswith("--per-batch-size 1 would fit")


def test_the_advice_suits_loss_and_devices(options):
    triplets = {k: v for k, v in options.items() if not k.startswith("margin")}
    triplets |= {"loss_type": "12", "per_batch_size": 12}
    assert advice(triplets, 5).startswith("--per-batch-size 3 would fit; --accumulate 4 with it")
    two = [mx.cpu(0), mx.cpu(1)]
    assert advice(options | {"per_batch_size": 12}, 6, two).startswith(
        "--per-batch-size 6 would fit; --accumulate 2 with it keeps the images per step"
    )
    assert "--accumulate 3 with it makes 15 images per step of 12" in advice(
        options | {"per_batch_size": 12}, 5
    )

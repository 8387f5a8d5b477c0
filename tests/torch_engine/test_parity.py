"""Every loss, and some networks on small images: PyTorch is as near to float64 as MXNet is."""

import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.config import TrainConfig  # noqa: E402
from arcface_mxnet.losses import build_loss  # noqa: E402

from tests.torch_engine import parity  # noqa: E402
from tests.torch_engine.three_runs import draw, on_mxnet, on_torch  # noqa: E402

ROWS, CLASSES, FEATURES = 8, 6, 10


def small(key):
    """Return a loss on two dense layers, and inputs for it."""
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=8, name="fc0")
    net = mx.sym.Activation(net, act_type="tanh", name="tanh0")
    net = mx.sym.FullyConnected(net, num_hidden=6, name="pre_fc1")
    net = mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")
    options = {"per_batch_size": ROWS, "loss_type": key} | parity.OPTIONS.get(key, {})
    config = TrainConfig(**options)
    loss, rows = build_loss(key, config, CLASSES), config.per_batch_size
    triplets = loss.batch_plan == "triplets"
    label = np.array([0, 1, 2] * 3) if triplets else np.repeat(np.arange(4), 2)
    inputs = {
        "data": np.random.RandomState(1).randn(rows, FEATURES).astype(np.float32),
        "softmax_label": label.astype(np.float32),
    }
    inputs |= {name: np.full(rows, value, np.float32) for name, value in loss.step_inputs(1)}
    return loss.symbol(net, mx.sym.Variable("softmax_label")), inputs


def test_the_sweep_has_every_loss():
    assert len(parity.LOSS_KEYS) == 21
    assert len(parity.graphs([])) == 61


@pytest.mark.parametrize("key", parity.LOSS_KEYS)
def test_a_loss_is_as_near_to_float64_as_mxnets(key):
    symbol, inputs = small(key)
    params, states = draw(symbol, {name: value.shape for name, value in inputs.items()})
    wanted = on_torch(symbol, inputs, params, states, torch.float64)
    mxnet, own = on_mxnet(symbol, inputs, params, states), on_torch(symbol, inputs, params, states)
    for part in ("outputs", "gradients", "statistics"):
        there, here = (
            parity.distance(getattr(one, part), getattr(wanted, part)) for one in (mxnet, own)
        )
        assert here <= max(2 * there, parity.FLOOR), (part, there, here)
        assert there < 1e-4, part
    assert np.abs(wanted.gradients["fc0_weight"]).max() > 1e-6


NETWORKS = {"m05": 48, "s20": 32}  # side of the images


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_as_near_to_float64_as_mxnets(name, monkeypatch):
    monkeypatch.setattr(parity, "UPDATES", 1)
    found, _ = parity.compare(name, "4", NETWORKS[name])
    for part, one in found.items():
        assert one.is_near, (part, one)
        assert one.mxnet < 0.05, "the two make the same graph"

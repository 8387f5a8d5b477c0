"""Every loss, and some networks on small images: PyTorch is as near to float64 as MXNet is."""

from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.config import TrainConfig  # noqa: E402
from arcface_mxnet.losses import build_loss  # noqa: E402

from tests.torch_engine import parity, three_runs  # noqa: E402
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


def test_the_sweep_goes_on_after_its_results(tmp_path, monkeypatch, capsys):
    file, run = tmp_path / "parity.jsonl", []

    def compare(network, key):
        run.append((network, key))
        if network == "r269":
            raise MemoryError("r269, loss 4: killed, for its memory perhaps")
        torch_is = 1e-3 if network == "s20" else 1e-4
        return dict.fromkeys(parity.PARTS, parity.Distances(1e-4, torch_is)), 1

    monkeypatch.setattr(parity, "compare_alone", compare)
    assert parity.main(["m05", "--results", str(file)]) == 0
    assert parity.main(["m05", "s20", "r269", "--results", str(file)]) == 1
    assert run == [("m05", "4"), ("s20", "4"), ("r269", "4")]
    told = capsys.readouterr().out
    assert told.count("m05, loss 4  ") == 2 and told.count(" FAR") == len(parity.PARTS)
    assert "1 farther than 2 times MXNet: s20, loss 4\n1 not compared: r269, loss 4" in told


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


def test_what_is_kept_in_files_gives_the_same_bits(monkeypatch):
    symbol, inputs = small("4")
    params, states = draw(symbol, {name: value.shape for name, value in inputs.items()})
    monkeypatch.setattr(three_runs, "IN_MEMORY", 0)
    taken, take = [], three_runs.Kept.take
    monkeypatch.setattr(three_runs.Kept, "take", lambda *of: taken.append(of[1]) or take(*of))
    found = on_torch(symbol, inputs, params, states, torch.float64)
    assert any(isinstance(one, Path) for one in taken)
    monkeypatch.undo()
    wanted = on_torch(symbol, inputs, params, states, torch.float64)
    for name, value in wanted.gradients.items():
        assert np.array_equal(found.gradients[name], value), name


NETWORKS = {"m05": 48, "s20": 32}  # side of the images


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_as_near_to_float64_as_mxnets(name, monkeypatch):
    monkeypatch.setattr(parity, "UPDATES", 1)
    found, _ = parity.compare(name, "4", NETWORKS[name])
    for part, one in found.items():
        assert one.is_near, (part, one)
        assert one.mxnet < 0.05, "the two make the same graph"


def test_what_a_graph_makes_of_a_rounding_is_told(monkeypatch, capsys):
    monkeypatch.setattr(parity, "training_symbol", lambda network, key, *_: small(key))
    wide, narrow = parity.moved("m2", "4", 1e-6), parity.moved("m2", "4", 1e-9)
    assert all(0 < narrow[part] < wide[part] for part in ("outputs", "gradients", "updates"))
    assert parity.main(["m2", "--moved", "1e-6"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == ["graph", *parity.PARTS]
    assert told[1].split()[-1] == f"{wide['updates']:.2e}"

"""What one process alone has and is not finite is not saved over the last good state."""

from types import SimpleNamespace

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.divergence import DivergedError
from arcface_mxnet.training.recorder import NoRecorder
from arcface_mxnet.training.run import Run
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.stepper import TorchStepper  # noqa: E402
from arcface_mxnet.training.optimizer import SGD  # noqa: E402

SHAPES = {"data": (4, 3), "softmax_label": (4,)}


def run_whose(bad):
    """Return a run of the second of two processes after its last step, and what it has saved."""
    saved = []
    stepper = SimpleNamespace(first_bad_parameter=lambda: bad,
                              save_shard=lambda *where: saved.append(where))  # fmt: skip
    run = SimpleNamespace(
        stepper=stepper, last_step=4, position=SimpleNamespace(step=4),
        plan=SimpleNamespace(config=TrainConfig(prefix="m", verbose=4)),
        machines=SimpleNamespace(validates_together=False),
    )  # fmt: skip
    run.save_shard = lambda: Run.save_shard(run)
    run.give_own = lambda: Run.give_own(run)
    return run, saved


@pytest.mark.parametrize("end", [lambda it: it.after_step(0.1), lambda it: it.stopped()])
def test_a_process_looks_at_its_own_rows_before_it_saves_them(end):
    run, saved = run_whose("fc7_weight")
    with pytest.raises(DivergedError, match="step 4: 'fc7_weight' is NaN or infinite"):
        end(NoRecorder(run))
    assert not saved
    run, saved = run_whose(None)
    end(NoRecorder(run))
    assert saved == [("m", 4)]


class First:
    """The first of two processes; the other gives a statistic that is not finite."""

    rank, count = 0, 2

    def group_on(self, device):
        return None

    def wait(self, start):
        start()


def test_statistics_of_others_are_looked_at_too(monkeypatch):
    def gather(found, own, **_):
        found[0].copy_(own)
        found[1].fill_(np.inf)

    monkeypatch.setattr(torch.distributed, "all_gather", gather)
    monkeypatch.setattr(torch.distributed, "broadcast", lambda *_, **__: None)
    net = mx.sym.BatchNorm(mx.sym.Variable("data"), fix_gamma=False, name="bn0")
    net = mx.sym.FullyConnected(net, num_hidden=2, name="fc7")
    symbol = mx.sym.SoftmaxOutput(net, mx.sym.Variable("softmax_label"), name="softmax")
    args, _, auxs = symbol.infer_shape(**SHAPES)
    params = {n: np.ones(s, np.float32) for n, s in zip(symbol.list_arguments(), args, strict=True)}
    states = {
        name: np.ones(shape, np.float32)
        for name, shape in zip(symbol.list_auxiliary_states(), auxs, strict=True)
    }
    graph = parse_graph(symbol.tojson(), "the symbol")
    stepper = TorchStepper(
        graph, "cpu", SHAPES, params, states, SGD(0.9, 0.0, {}), processes=First()
    )
    assert stepper.first_bad_parameter() is None
    stepper.join()
    assert stepper.first_bad_parameter() == "bn0_moving_mean"
    assert np.isinf(stepper.params()[1]["bn0_moving_mean"]).all()  # what would be saved

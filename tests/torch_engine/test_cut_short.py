"""A step that another process cuts short says who and why, not where here it came up."""

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
from arcface_mxnet.training import run
from arcface_mxnet.training.machines import Machines, OtherMachineError
from arcface_mxnet.training.optimizer import SGD
import mxnet as mx
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.checkpoints.graph import parse_graph  # noqa: E402
from arcface_mxnet.torch_engine.classifier import Classifier  # noqa: E402
from arcface_mxnet.torch_engine.collectives import Collectives  # noqa: E402
from arcface_mxnet.training.world import World  # noqa: E402

ROWS, WIDTH, CLASSES = 4, 3, 6
LOST = OtherMachineError(1, True, "process 1 was killed")


class Losing(Collectives):
    """The first of two processes; the other goes while maxima or sums are made."""

    def __init__(self, when):
        super().__init__()
        self.rank, self.count, self._when = 0, 2, when

    def gathered(self, tensor):
        return torch.stack([tensor, tensor])

    def max(self, tensor):
        return self._made(tensor, "max")

    def sum(self, tensor):
        return self._made(tensor, "sum")

    def _made(self, tensor, name):
        if name == self._when:
            raise LOST
        return tensor


@pytest.mark.parametrize("when", ["max", "sum"])
def test_a_loss_cut_short_is_not_said_to_be_at_fault(when):
    loss = build_loss("arcface", TrainConfig(loss_type="arcface"), CLASSES)
    embedding = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=WIDTH, name="fc1")
    symbol = loss.symbol(embedding, mx.sym.Variable("softmax_label"))
    classifier = Classifier(
        parse_graph(symbol.tojson(), "the symbol"), CLASSES, frozenset({"data", "softmax_label"}),
        WIDTH, SGD(0.9, 0.01, {}), 0.5, Losing(when),
    )  # fmt: skip
    classifier.rows.fill(lambda name, begin, rows: rows.fill_(0.5))
    with pytest.raises(OtherMachineError) as caught:
        classifier(torch.ones(ROWS, WIDTH), {"softmax_label": torch.zeros(ROWS)}, {})
    assert caught.value is LOST


def test_a_last_state_is_not_said_to_be_at_fault(monkeypatch):
    def lose(*_):
        raise LOST

    monkeypatch.setattr(run, "_started", lose)
    with pytest.raises(OtherMachineError) as caught:
        run.start_run(None, object(), Machines())
    assert caught.value is LOST


def test_memory_that_runs_out_here_is_no_broken_connection():
    """It is told to the others as what it is."""

    def start():
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        World._await(object(), start, True)

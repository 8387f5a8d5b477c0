"""Rows that are shared out begin as a dense classifier does, by the network's initializer."""

from types import SimpleNamespace

from arcface_mxnet.networks import NETWORKS, Network
from arcface_mxnet.networks.initializers import gaussian_in, gaussian_out, uniform_in
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.fills import BLOCK, draw  # noqa: E402
from arcface_mxnet.training.shared_classifier import drawing_of  # noqa: E402

TOTAL, WIDTH = BLOCK + 900, 16


@pytest.mark.parametrize(
    "drawing",
    [gaussian_out, gaussian_in, uniform_in, mx.init.Xavier()],
    ids=["gaussian out", "gaussian in", "uniform in", "mxnet's default"],
)
def test_rows_are_as_far_from_0_as_those_of_a_dense_classifier(drawing):
    dense, rows = mx.nd.zeros((TOTAL, WIDTH)), torch.empty(TOTAL, WIDTH)
    made = drawing if isinstance(drawing, mx.init.Xavier) else drawing()
    mx.random.seed(3)
    made(mx.init.InitDesc("fc7_weight"), dense)
    draw(rows, 0, TOTAL, 7, drawing)
    wanted, found = np.abs(dense.asnumpy()), rows.abs().numpy()
    for share in (10, 50, 90, 99):
        assert np.percentile(found, share) == pytest.approx(np.percentile(wanted, share), rel=0.05)
    part = torch.empty(700, WIDTH)  # over the end of a block
    draw(part, BLOCK - 300, TOTAL, 7, drawing)
    assert torch.equal(part, rows[BLOCK - 300 : BLOCK + 400])


def plan_of(name, network=None, **stored):
    config = SimpleNamespace(network=name, classifier="sharded")
    return SimpleNamespace(network=network, config=config, published=SimpleNamespace(**stored))


def test_a_network_says_how_its_rows_are_drawn():
    for name, drawing in [("r50", gaussian_out), ("i2", gaussian_in), ("m1", uniform_in)]:
        assert drawing_of(plan_of(name, NETWORKS[name])) == drawing
        # A symbol that was made elsewhere is of this network, or its network is not known.
        assert drawing_of(plan_of(name, arg_params={"a": 1})) == drawing
        assert drawing_of(plan_of(name, arg_params={})) == gaussian_out
    assert drawing_of(plan_of("x-symbol.json", arg_params={"a": 1})) == gaussian_out


def test_rows_that_xavier_does_not_draw_are_refused():
    network = Network(None, mx.init.Normal, frozenset())
    with pytest.raises(ValueError, match="--classifier sharded: network odd begins with Normal"):
        drawing_of(plan_of("odd", network))

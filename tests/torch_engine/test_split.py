"""What a symbol of others does with its classifier that no slice can is refused by its node."""

import mxnet as mx
import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.checkpoints.graph import parse_graph  # noqa: E402
from arcface_mxnet.torch_engine.split import split_loss  # noqa: E402

INPUTS = frozenset({"data", "softmax_label"})
LABEL = mx.sym.Variable("softmax_label")


def split_of(head, behind=lambda embedding: embedding):
    """head(softmax) -> outputs beside it.  behind: what is done to the embedding."""
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=3, name="fc1")
    net = mx.sym.FullyConnected(behind(net), num_hidden=6, no_bias=True, name="fc7")
    softmax = mx.sym.SoftmaxOutput(net, LABEL, name="softmax")
    symbol = mx.sym.Group([softmax, *head(softmax)])
    return split_loss(parse_graph(symbol.tojson(), "the symbol"), 6, INPUTS)


@pytest.mark.parametrize(
    "head",
    [
        lambda softmax: [mx.sym.BlockGrad(mx.sym.pick(softmax, LABEL), name="own")],
        lambda softmax: [mx.sym.MakeLoss(mx.sym.log(softmax), name="own")],
        lambda softmax: [mx.sym.BlockGrad(softmax, name="own")],
    ],
)
def test_what_reads_probabilities_is_refused(head):
    """Their normaliser stands in their place, and would be taken for them."""
    with pytest.raises(ValueError, match="reads probabilities, of which no process has all"):
        split_of(head)


def test_dropout_behind_the_embedding_is_refused():
    def none(_):
        return []

    with pytest.raises(ValueError, match="Dropout 'drop' .* would be another one on each process"):
        split_of(none, lambda embedding: mx.sym.Dropout(embedding, p=0.4, name="drop"))
    for whole in (lambda e: mx.sym.Dropout(e, p=0, name="drop"), lambda e: e):
        assert list(split_of(none, whole).weights) == ["fc7_weight"]

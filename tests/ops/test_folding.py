"""BatchNorms folded into convolutions for embedding with parameters that stay."""

import logging

from arcface_mxnet.ops import fast_graph, fold_norms
import mxnet as mx
import numpy as np
import pytest

CPU = mx.cpu()


def network(shortcut=False):
    """Convolutions, BatchNorms and a PReLU as in LResNet-IR, with a dense end.

    Those of 3x3 would be ours: see test_channels_last.py.
    """
    data = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=16, kernel=(3, 3), name="conv0")
    body = mx.sym.BatchNorm(data, fix_gamma=False, name="bn1")
    for number in (1, 2):
        body = mx.sym.Convolution(
            body,
            num_filter=16,
            kernel=(5, 5),
            pad=(2, 2),
            no_bias=True,
            name=f"conv{number}",
        )
        body = mx.sym.BatchNorm(body, fix_gamma=False, eps=2e-5, name=f"bn{number + 1}")
        if number == 1:
            body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu")
    body = body + data if shortcut else body
    return mx.sym.FullyConnected(body, num_hidden=4, name="fc")


SHAPES = {"data": (2, 3, 9, 9)}


def parameters(symbol, seed=0):
    shapes, _, states = symbol.infer_shape(**SHAPES)
    rng = np.random.RandomState(seed)
    named = dict(zip(symbol.list_arguments(), shapes, strict=True))
    args = {n: mx.nd.array(rng.randn(*s)) for n, s in named.items() if n != "data"}
    named = dict(zip(symbol.list_auxiliary_states(), states, strict=True))
    return args, {n: mx.nd.array(rng.rand(*s) + 0.5) for n, s in named.items()}


def embed(symbol, args, aux):
    """Return the outputs of three passes."""
    executor = symbol.simple_bind(CPU, grad_req="null", **SHAPES)
    executor.copy_params_from(args, aux)
    data = mx.nd.array(np.random.RandomState(9).randn(2, 3, 9, 9))
    return [executor.forward(is_train=False, data=data)[0].asnumpy() for _ in range(3)]


@pytest.mark.parametrize("kind", ["own", "convolution"])
def test_same_embedding(kind):
    symbol = network()
    args, aux = parameters(symbol)
    fast = fast_graph(symbol, CPU, kind=kind, training=False)
    folded = fold_norms(fast, CPU, args, aux, SHAPES)
    assert "sg_mkldnn_conv" in folded.tojson()
    assert "BatchNorm" in symbol.tojson()
    assert sorted(folded.list_arguments()) == sorted(symbol.list_arguments())
    assert sorted(folded.list_auxiliary_states()) == sorted(symbol.list_auxiliary_states())
    (wanted, *_) = embed(symbol, args, aux)
    for found in embed(folded, args, aux):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_where_mxnet_folds_wrongly_the_graph_stays(caplog):
    """A convolution whose output is normed and added to later: MXNet 1.9.1 is wrong by 1 %."""
    caplog.set_level(logging.INFO)
    symbol = network(shortcut=True)
    args, aux = parameters(symbol)
    (wanted, *_), (wrong, *_) = (
        embed(graph, args, aux) for graph in (symbol, symbol.get_backend_symbol("MKLDNN"))
    )
    assert np.abs(wrong - wanted).max() > 1e-3 * np.abs(wanted).max()
    assert fold_norms(symbol, CPU, args, aux, SHAPES) is symbol
    assert "not folded" in caplog.text


def test_where_mxnet_stops_the_graph_stays(caplog):
    """A convolution of groups before a dense layer, as in the head GDC."""
    caplog.set_level(logging.INFO)
    data = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=16, kernel=(3, 3), name="conv0")
    options = {"num_filter": 16, "num_group": 16, "kernel": (7, 7), "no_bias": True}
    data = mx.sym.Convolution(data, name="conv1", **options)
    data = mx.sym.BatchNorm(data, fix_gamma=False, name="bn")
    symbol = mx.sym.FullyConnected(data, num_hidden=4, name="fc")
    assert fold_norms(symbol, CPU, *parameters(symbol), SHAPES) is symbol
    assert "not folded" in caplog.text
    assert "IsMKLDNNData" in caplog.text


def test_what_is_never_folded():
    symbol = network()
    assert fold_norms(symbol, mx.gpu(0), {}, {}, SHAPES) is symbol
    dense = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")
    assert fold_norms(dense, CPU, {}, {}, SHAPES) is dense

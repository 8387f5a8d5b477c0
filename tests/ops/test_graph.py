"""fast_graph against PReLU's definition: outputs, gradients, names, and what it leaves alone.

The stock operator gives the outputs to compare with.  Its gradient does not serve: where
MXNet 1.9.1 lets it write over its input, the gradient of the slope is wrong (tested below).
"""

from functools import partial
import json

from arcface_mxnet.ops import fast_graph
from arcface_mxnet.ops.rewrite import Claim, Graph, is_prelu, rewrite
import mxnet as mx
import numpy as np
import pytest

KINDS = ("own", "convolution")
CPU = mx.cpu()


def prelu(data, name="relu", **more):
    return mx.sym.LeakyReLU(data, act_type="prelu", name=name, **more)


def run(symbol, arrays, *, grad_req="write", ctx=CPU):
    """Return outputs and gradients of all arguments for a seeded output gradient."""
    args = {name: mx.nd.array(value, ctx) for name, value in arrays.items()}
    grads = {name: mx.nd.ones_like(value) for name, value in args.items()}
    executor = symbol.bind(ctx, args, args_grad=grads, grad_req=grad_req)
    outputs = executor.forward(is_train=True)
    rng = np.random.RandomState(1)
    executor.backward([mx.nd.array(rng.randn(*out.shape), ctx) for out in outputs])
    return (
        [out.asnumpy() for out in outputs],
        {name: grad.asnumpy() for name, grad in grads.items()},
    )


def shapes_of(arrays):
    return {name: value.shape for name, value in arrays.items()}


def defined(symbol, shapes):
    """Return the symbol with every PReLU spelled out: where(x > 0, x, slope * x)."""

    def build(node, rewriter):
        data, slope = map(rewriter.entry, node["inputs"])
        name = node["name"]
        slopes = rewriter.add("Reshape", f"{name}_a", [slope], {"shape": "(1, -1, 1, 1)"})
        ones = rewriter.add("ones_like", f"{name}_1", [data], {})
        slopes = rewriter.add("broadcast_mul", f"{name}_as", [ones, slopes], {})
        scaled = rewriter.add("elemwise_mul", f"{name}_ax", [data, slopes], {})
        passes = rewriter.add("_greater_scalar", f"{name}_is", [data], {"scalar": "0"})
        return rewriter.add("where", name, [passes, data, scaled], {})

    graph = Graph(symbol, shapes)
    claims = (
        Claim((number,), partial(build, node))
        for number, node in enumerate(graph.nodes)
        if is_prelu(node)
    )
    return rewrite(graph, defined=claims).symbol


def assert_same(symbol, arrays, kind, **more):
    wanted, _ = run(symbol, arrays, **more)
    _, wanted_grads = run(defined(symbol, shapes_of(arrays)), arrays, **more)
    fast = fast_graph(symbol, CPU, shapes_of(arrays), kind=kind)
    found, found_grads = run(fast, arrays, **more)
    assert fast.list_arguments() == symbol.list_arguments()
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for name, grad in wanted_grads.items():
        scale = np.nanmax(np.abs(grad))
        np.testing.assert_allclose(found_grads[name], grad, rtol=1e-4, atol=1e-5 * scale)


def random_arrays(symbol, seed=0, **shapes):
    rng = np.random.RandomState(seed)
    known, _, _ = symbol.infer_shape(**shapes)
    names = symbol.list_arguments()
    return {name: rng.randn(*shape) for name, shape in zip(names, known, strict=True)}


@pytest.mark.parametrize(
    "shape", [(2, 3), (5, 1), (1, 7, 1, 1), (3, 5, 7, 9), (2, 4, 3), (2, 3, 2, 5, 3)]
)
def test_own_prelu_for_every_rank(shape):
    symbol = prelu(mx.sym.Variable("data"))
    fast = fast_graph(symbol, CPU, {"data": shape}, kind="own")
    assert uses(fast, "arcface_prelu")
    arrays = random_arrays(symbol, data=shape)
    (out,), grads = run(fast, arrays)
    x, a = arrays["data"], arrays["relu_gamma"].reshape(1, -1, *[1] * (len(shape) - 2))
    dy = np.random.RandomState(1).randn(*shape)
    np.testing.assert_allclose(out, np.where(x > 0, x, a * x), rtol=1e-5)
    np.testing.assert_allclose(grads["data"], np.where(x > 0, dy, a * dy), rtol=1e-5)
    wanted = np.where(x > 0, 0, x * dy).sum((0, *range(2, x.ndim)))
    np.testing.assert_allclose(grads["relu_gamma"], wanted, rtol=1e-5, atol=1e-5)


def test_stock_gradient_of_the_slope_is_wrong_in_place():
    """Why the stock gradient is no reference: dy is overwritten by dx before it is used."""
    symbol = prelu(mx.sym.Variable("data") * 1)
    arrays = {"data": np.full((1, 1, 1, 2), -3.0), "relu_gamma": np.array([0.25])}
    dy = np.random.RandomState(1).randn(2)
    _, right = run(fast_graph(symbol, CPU, shapes_of(arrays), kind="own"), arrays)
    _, stock = run(symbol, arrays)
    assert right["relu_gamma"] == pytest.approx(-3 * dy.sum(), rel=1e-5)
    assert stock["relu_gamma"] == pytest.approx(-3 * 0.25 * dy.sum(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels,size", [(1, 5), (8, 7), (17, 4), (64, 9)])
def test_convolution_and_prelu(kind, channels, size):
    data = mx.sym.Convolution(
        mx.sym.Variable("data"), num_filter=channels, kernel=(3, 3), name="conv"
    )
    symbol = prelu(data)
    shapes = {"data": (3, 2, size, size + 1)}
    assert not uses(fast_graph(symbol, CPU, shapes, kind=kind), "LeakyReLU")
    assert_same(symbol, random_arrays(symbol, **shapes), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_negative_slope_and_nan(kind):
    data = mx.sym.Convolution(
        mx.sym.Variable("data"), num_filter=2, kernel=(1, 1), no_bias=True, name="conv"
    )
    symbol = prelu(data)
    arrays = {
        "data": np.array([0.0, -1, 2, -0.0, 3, -4]).reshape(1, 1, 2, 3),
        "conv_weight": np.array([1.0, -1]).reshape(2, 1, 1, 1),
        "relu_gamma": np.array([-0.5, 0.0]),
    }
    assert_same(symbol, arrays, kind)
    arrays["data"][0, 0, 0, 0] = np.nan
    fast = fast_graph(symbol, CPU, shapes_of(arrays), kind=kind)
    (out,), _ = run(fast, arrays)
    assert np.isnan(out[0, :, 0, 0]).all()
    assert np.isfinite(out[0, :, 0, 1:]).all()


def test_one_slope_for_all_channels():
    slope = mx.sym.Variable("slope", shape=(1,))
    data = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=3, kernel=(1, 1), name="conv")
    symbol = prelu(data, gamma=slope)
    arrays = random_arrays(symbol, data=(2, 3, 4, 4))
    assert arrays["slope"].shape == (1,)
    assert_same(symbol, arrays, "own")
    fast = fast_graph(symbol, CPU, shapes_of(arrays), kind="convolution")
    assert uses(fast, "LeakyReLU")


@pytest.mark.parametrize("kind", KINDS)
def test_slope_shared_by_many(kind):
    """More uses than MXNet sums at once: gradients are then added in place."""
    slope = mx.sym.Variable("slope")
    data = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=4, kernel=(1, 1), name="conv")
    symbol = data
    for i in range(12):
        symbol = prelu(symbol - 0.1 * i, name=f"relu{i}", gamma=slope) + data
    assert_same(symbol, random_arrays(symbol, data=(2, 3, 4, 4)), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grad_req", ["write", "add"])
def test_gradients_are_written_or_added_as_asked(kind, grad_req):
    data = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=4, kernel=(1, 1), name="conv")
    symbol = prelu(data)
    assert_same(symbol, random_arrays(symbol, data=(2, 3, 4, 4)), kind, grad_req=grad_req)


def uses(symbol, op):
    return any(node["op"] == op for node in json.loads(symbol.tojson())["nodes"])


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_states_and_outputs_stay(kind):
    data = mx.sym.Variable("data")
    data = mx.sym.Convolution(data, num_filter=4, kernel=(3, 3), name="conv")
    data = mx.sym.BatchNorm(data, fix_gamma=False, eps=2e-5, name="bn")
    slope = mx.sym.Variable("relu_gamma", lr_mult=3, wd_mult=0.5, init=mx.init.Constant(0.125))
    data = prelu(data, gamma=slope)
    symbol = mx.sym.Group([mx.sym.BlockGrad(data), mx.sym.Flatten(data), data])
    fast = fast_graph(symbol, CPU, {"data": (2, 3, 8, 8)}, kind=kind)
    assert fast.list_arguments() == symbol.list_arguments()
    assert fast.list_auxiliary_states() == symbol.list_auxiliary_states()
    assert fast.list_outputs() == symbol.list_outputs()
    assert fast.infer_shape(data=(2, 3, 8, 8)) == symbol.infer_shape(data=(2, 3, 8, 8))
    for key, value in symbol.attr_dict()["relu_gamma"].items():
        assert fast.attr_dict()["relu_gamma"][key] == value


def test_given_symbol_stays_as_it_was():
    symbol = prelu(
        mx.sym.Convolution(mx.sym.Variable("data"), num_filter=4, kernel=(1, 1), name="conv")
    )
    before = symbol.tojson()
    for kind in KINDS:
        fast_graph(symbol, CPU, {"data": (1, 3, 2, 2)}, kind=kind)
        assert symbol.tojson() == before


def test_what_is_returned_as_it_is():
    data = mx.sym.Variable("data")
    symbol = prelu(data)
    half = prelu(mx.sym.Cast(data, dtype="float16"))
    none = mx.sym.LeakyReLU(data, act_type="leaky")
    shapes = {"data": (1, 3, 2, 2)}
    assert fast_graph(symbol, mx.gpu(0), shapes) is symbol
    assert fast_graph(symbol, [mx.cpu(0), mx.gpu(0)], shapes) is symbol
    assert fast_graph(symbol, CPU, shapes, kind="stock") is symbol
    assert fast_graph(half, CPU, shapes) is half
    assert fast_graph(none, CPU, shapes) is none


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind 'quick': allowed are auto, own, convolution, stock"):
        fast_graph(prelu(mx.sym.Variable("data")), CPU, {}, kind="quick")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5)])
def test_convolution_form_needs_images(shape):
    """Where the data is not (N, C, H, W) the stock operator stays."""
    symbol = prelu(mx.sym.Variable("data"))
    assert fast_graph(symbol, CPU, {"data": shape}, kind="convolution") is symbol


def test_float64():
    symbol = fast_graph(prelu(mx.sym.Variable("data")), CPU, {"data": (1, 2)}, kind="own")
    data = mx.nd.array([[-1.0, 2.0]], dtype="float64")
    slope = mx.nd.array([0.1, 0.1], dtype="float64")
    (out,) = symbol.bind(CPU, {"data": data, "relu_gamma": slope}).forward()
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out.asnumpy(), [[-0.1, 2.0]])


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_two_contexts(kind):
    """A module on two CPU contexts learns what the defining graph on one learns."""
    data = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=4, kernel=(3, 3), name="conv")
    slope = mx.sym.Variable("slope", shape=(4,))
    data = mx.sym.FullyConnected(prelu(data, gamma=slope), num_hidden=5, name="fc")
    symbol = mx.sym.SoftmaxOutput(data, name="softmax")
    rng = np.random.RandomState(0)
    batch = mx.io.DataBatch(
        [mx.nd.array(rng.randn(4, 3, 6, 6))], [mx.nd.array(rng.randint(0, 5, 4))]
    )
    weights = random_arrays(symbol, data=(4, 3, 6, 6))
    weights = {name: 0.1 * value for name, value in weights.items()}
    learned = []
    two = [CPU, mx.cpu(1)]
    shapes = {"data": (4, 3, 6, 6)}
    fast = fast_graph(symbol, two, shapes, kind=kind)
    for graph, ctx in ((defined(symbol, shapes), CPU), (fast, two)):
        module = mx.mod.Module(graph, context=ctx)
        module.bind([("data", (4, 3, 6, 6))], [("softmax_label", (4,))])
        params = {n: mx.nd.array(w) for n, w in weights.items() if n in module._param_names}
        module.init_params(arg_params=params)
        module.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": 0.1})
        for _ in range(3):
            module.forward_backward(batch)
            module.update()
        learned.append({n: w.asnumpy() for n, w in module.get_params()[0].items()})
    for name, wanted in learned[0].items():
        np.testing.assert_allclose(learned[1][name], wanted, rtol=1e-4, atol=1e-5)

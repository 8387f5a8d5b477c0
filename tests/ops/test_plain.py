"""Our convolutions and BatchNorm against the stock ones, and where they are used."""

from functools import partial
import json

from arcface_mxnet.ops import fast_graph
from arcface_mxnet.ops.library import load_operators
from arcface_mxnet.ops.rewrite import Claim, Graph, is_prelu, rewrite
import mxnet as mx
import numpy as np
import pytest

CPU = mx.cpu()
IMAGES = (4, 3, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def operators():
    assert load_operators()


def run(symbol, arrays, aux, *, training=True, grad_req="write"):
    """Return outputs, gradients and states after one pass with seeded output gradients."""
    args = {name: mx.nd.array(value) for name, value in arrays.items()}
    grads = {name: mx.nd.ones_like(value) for name, value in args.items()}
    states = {name: mx.nd.array(value) for name, value in aux.items()}
    executor = symbol.bind(CPU, args, args_grad=grads, grad_req=grad_req, aux_states=states)
    outputs = executor.forward(is_train=training)
    if training:
        rng = np.random.RandomState(1)
        executor.backward([mx.nd.array(rng.randn(*out.shape)) for out in outputs])
    return (
        [out.asnumpy() for out in outputs],
        {name: grad.asnumpy() for name, grad in grads.items()},
        {name: state.asnumpy() for name, state in states.items()},
    )


def random_arrays(symbol, **shapes):
    rng = np.random.RandomState(0)
    known, _, states = symbol.infer_shape(**shapes)
    args = {n: rng.randn(*s) for n, s in zip(symbol.list_arguments(), known, strict=True)}
    aux = {
        n: rng.rand(*s) + 0.5 for n, s in zip(symbol.list_auxiliary_states(), states, strict=True)
    }
    return args, aux


def close(found, wanted, rtol=1e-4):
    np.testing.assert_allclose(
        found, wanted, rtol=rtol, atol=rtol / 10 * max(1, np.abs(wanted).max())
    )


def assert_equal_passes(stock, ours, arrays, aux=None, rtol=1e-4, **more):
    wanted, found = (run(symbol, arrays, aux or {}, **more) for symbol in (stock, ours))
    for a, b in zip(found[0], wanted[0], strict=False):
        close(a, b, rtol)
    for number in (1, 2):
        for name, value in wanted[number].items():
            close(found[number][name], value, rtol)


@pytest.mark.parametrize(
    "shape,filters",
    [
        ((1, 1, 1, 1), 1),
        ((2, 3, 5, 7), 5),
        ((3, 64, 7, 7), 128),
        ((2, 17, 40, 40), 9),
        ((5, 50, 14, 14), 67),
        ((1, 600, 3, 3), 900),  # its sums are too many for a set per thread
    ],
)
def test_pointwise(shape, filters):
    data, weight = mx.sym.Variable("data"), mx.sym.Variable("weight", shape=(0, 0, 0, 0))
    stock = mx.sym.Convolution(data, weight, num_filter=filters, kernel=(1, 1), no_bias=True)
    ours = mx.sym.arcface_pointwise(data, weight, filters=filters)
    assert ours.infer_shape(data=shape)[:2] == stock.infer_shape(data=shape)[:2]
    assert_equal_passes(stock, ours, random_arrays(stock, data=shape)[0])


@pytest.mark.parametrize(
    "kernel,stride,pad",
    [(3, 1, 1), (3, 2, 1), (7, 1, 0), (5, 2, 2), (1, 1, 0), (3, 3, 0), (2, 1, 1)],
)
@pytest.mark.parametrize("shape", [(2, 3, 7, 7), (1, 5, 9, 16), (3, 17, 14, 11)])
def test_depthwise(kernel, stride, pad, shape):
    data, weight = mx.sym.Variable("data"), mx.sym.Variable("weight", shape=(0, 0, 0, 0))
    stock = mx.sym.Convolution(
        data,
        weight,
        num_filter=shape[1],
        num_group=shape[1],
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(pad, pad),
        no_bias=True,
    )
    ours = mx.sym.arcface_depthwise(data, weight, kernel=kernel, stride=stride, pad=pad)
    assert ours.infer_shape(data=shape)[:2] == stock.infer_shape(data=shape)[:2]
    assert_equal_passes(stock, ours, random_arrays(stock, data=shape)[0])


def norm(data, name="bn", **more):
    return mx.sym.BatchNorm(data, fix_gamma=False, eps=1e-3, momentum=0.8, name=name, **more)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (3, 5, 7, 7), (2, 9, 16, 5), (3, 2, 6)])
def test_batch_norm(shape, training):
    data = mx.sym.Variable("data")
    stock = norm(data)
    ours = mx.sym.arcface_batchnorm(
        data,
        *(
            mx.sym.Variable(f"bn_{part}", shape=(0,))
            for part in ("gamma", "beta", "moving_mean", "moving_var")
        ),
        eps=1e-3,
        momentum=0.8,
        act="none",
        training=int(training),
    )
    assert ours.list_arguments() == stock.list_arguments()
    assert ours.list_auxiliary_states() == stock.list_auxiliary_states()
    arrays, aux = random_arrays(stock, data=shape)
    arrays["data"] += 3
    ours = ours[0]
    assert_equal_passes(stock, ours, arrays, aux, training=training)


def block(data, name, filters, act="prelu", **more):
    data = mx.sym.Convolution(data, num_filter=filters, no_bias=True, name=f"{name}_conv", **more)
    data = norm(data, f"{name}_bn")
    if act == "relu":
        return mx.sym.Activation(data, act_type="relu", name=f"{name}_relu")
    return mx.sym.LeakyReLU(data, act_type="prelu", name=f"{name}_relu") if act else data


def mobile(act="prelu"):
    """A small MobileFaceNet: every operator that is replaced, a sum, and a dense end."""
    data = mx.sym.Variable("data")
    data = first = block(data, "a", 8, act, kernel=(3, 3), stride=(2, 2), pad=(1, 1))
    data = block(data, "b", 12, act, kernel=(1, 1))
    data = block(data, "c", 12, act, kernel=(3, 3), pad=(1, 1), num_group=12)
    data = first + block(data, "d", 8, None, kernel=(1, 1))
    data = block(data, "e", 8, None, kernel=(5, 5), num_group=8)
    return mx.sym.FullyConnected(data, num_hidden=4, name="fc")


def composed(symbol, shapes):
    """Return the symbol with PReLU composed of others: the stock gradient is wrong in place."""

    def build(node, rewriter):
        rewriter.set_shape(node["inputs"][1], graph.shape(node["inputs"][1]))
        data, slope = map(rewriter.entry, node["inputs"])
        name = node["name"]
        slope = rewriter.add("Reshape", f"{name}_a", [slope], {"shape": "(1, -1, 1, 1)"})
        low = rewriter.add("_minimum_scalar", f"{name}_l", [data], {"scalar": "0"})
        high = rewriter.add("_maximum_scalar", f"{name}_h", [data], {"scalar": "0"})
        scaled = rewriter.add("broadcast_mul", f"{name}_s", [low, slope], {})
        return rewriter.add("elemwise_add", name, [high, scaled], {})

    graph = Graph(symbol, shapes)
    claims = (
        Claim((number,), partial(build, node))
        for number, node in enumerate(graph.nodes)
        if is_prelu(node)
    )
    return rewrite(graph, composed=claims).symbol


def fast(symbol, shape, training):
    return fast_graph(symbol, CPU, {"data": shape}, training=training)


def operators_of(symbol):
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"]]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("grad_req", ["write", "add"])
def test_whole_network(training, grad_req):
    symbol = mobile()
    ours = fast(symbol, IMAGES, training)
    found = operators_of(ours)
    assert [
        found.count(f"arcface_{n}") for n in ("pointwise", "depthwise", "batchnorm", "prelu")
    ] == [2, 2, 5, 0]
    assert "BatchNorm" not in found
    assert "LeakyReLU" not in found
    assert ours.list_arguments() == symbol.list_arguments()
    assert ours.list_auxiliary_states() == symbol.list_auxiliary_states()
    assert ours.list_outputs() == symbol.list_outputs()
    assert ours.infer_shape(data=IMAGES) == symbol.infer_shape(data=(4, 3, 10, 10))
    arrays, aux = random_arrays(symbol, data=IMAGES)
    reference = composed(symbol, {"data": IMAGES})
    assert_equal_passes(reference, ours, arrays, aux, training=training, grad_req=grad_req)


def test_relu():
    symbol = mobile("relu")
    ours = fast(symbol, IMAGES, True)
    found = operators_of(ours)
    assert found.count("arcface_batchnorm") == 5
    assert "Activation" not in found
    assert ours.list_arguments() == symbol.list_arguments()
    arrays, aux = random_arrays(symbol, data=IMAGES)
    assert_equal_passes(symbol, ours, arrays, aux)
    # Nothing but the activation is ours to gain in a forward pass.
    assert fast(symbol, IMAGES, False) is symbol


def test_relu_of_other_data_stays():
    data = mx.sym.Activation(mx.sym.Variable("data"), act_type="relu", name="relu")
    symbol = block(block(data, "a", 4, "relu", kernel=(1, 1)), "b", 4, num_group=4, kernel=(1, 1))
    symbol = mx.sym.Activation(symbol, act_type="sigmoid")
    shape = (2, 3, 5, 5)
    ours = fast(symbol, shape, True)
    assert operators_of(ours).count("Activation") == 2
    assert operators_of(ours).count("arcface_batchnorm") == 2
    arrays, aux = random_arrays(symbol, data=shape)
    assert_equal_passes(composed(symbol, {"data": shape}), ours, arrays, aux)


def test_copies_of_parameters_only_where_gradients_are_added_up():
    assert "_mul_scalar" in operators_of(fast(mobile(), IMAGES, True))
    ours = fast_graph(mobile(), CPU, {"data": IMAGES}, training=True, accumulates=False)
    assert "_mul_scalar" not in operators_of(ours)
    arrays, aux = random_arrays(mobile(), data=IMAGES)
    assert_equal_passes(composed(mobile(), {"data": IMAGES}), ours, arrays, aux)


def grouped(groups):
    """A unit of a ResNeXt: 1x1, 3x3 of groups, 1x1."""
    data = block(mx.sym.Variable("data"), "a", 8, kernel=(1, 1))
    data = block(data, "b", 8, "relu", kernel=(3, 3), pad=(1, 1), num_group=groups)
    return block(data, "c", 12, None, kernel=(1, 1))


def test_networks_of_groups():
    shape = (4, 8, 6, 6)
    ours = fast(grouped(2), shape, True)
    found = operators_of(ours)
    assert found.count("arcface_pointwise") == 2
    assert found.count("Convolution") == 1  # that of groups
    assert found.count("arcface_batchnorm") == 2  # the last one is an output
    arrays, aux = random_arrays(grouped(2), data=shape)
    reference = composed(grouped(2), {"data": shape})
    assert_equal_passes(reference, ours, arrays, aux, rtol=1e-3)
    found = operators_of(fast(grouped(1), shape, True))
    assert found.count("Convolution") == 3


def test_batch_norm_that_others_see_stays_apart():
    """A BatchNorm whose output is used twice, or is an output, is not drawn into the PReLU."""
    for twice in (True, False):
        data = mx.sym.Variable("data")
        data = mx.sym.Convolution(
            data, num_filter=3, num_group=3, kernel=(1, 1), no_bias=True, name="c"
        )
        normed = norm(data)
        active = mx.sym.LeakyReLU(normed, act_type="prelu", name="relu")
        symbol = active + normed if twice else mx.sym.Group([active, normed])
        shape = (2, 3, 4, 4)
        ours = fast(symbol, shape, True)
        assert operators_of(ours).count("arcface_prelu") == 1
        assert ours.list_outputs() == symbol.list_outputs()
        arrays, aux = random_arrays(symbol, data=shape)
        assert_equal_passes(composed(symbol, {"data": shape}), ours, arrays, aux)


def dense():
    """Two layers of 3x3 convolutions, with a BatchNorm before, between and after."""
    data = norm(mx.sym.Variable("data"), "first")
    data = norm(block(data, "a", 8, kernel=(3, 3)), "between")
    return block(data, "b", 8, None, kernel=(3, 3))


def test_left_alone_where_it_does_not_pay():
    """BatchNorm of a graph that trains and embeds; convolutions of 3x3."""
    assert "BatchNorm" in operators_of(fast(mobile(), IMAGES, None))
    found = operators_of(fast(dense(), IMAGES, True))
    assert found.count("Convolution") == 2
    assert found.count("BatchNorm") == 2  # the first and the last
    assert found.count("arcface_batchnorm") == 2  # with the PReLU, and after it
    found = operators_of(fast(dense(), IMAGES, False))
    assert found.count("BatchNorm") == 4
    assert found.count("arcface_prelu") == 1


@pytest.mark.parametrize("training", [True, False])
def test_network_of_dense_convolutions(training):
    symbol = dense()
    ours = fast(symbol, IMAGES, training)
    arrays, aux = random_arrays(symbol, data=IMAGES)
    # Gradients through three BatchNorms are small differences of large numbers.
    reference = composed(symbol, {"data": IMAGES})
    assert_equal_passes(reference, ours, arrays, aux, rtol=1e-3, training=training)


def test_module_trains_alike():
    """Bound by shapes, as training does: weights and moving statistics after three steps."""
    symbol = mx.sym.SoftmaxOutput(mobile(), name="softmax")
    arrays, aux = random_arrays(symbol, data=IMAGES)
    rng = np.random.RandomState(2)
    batch = mx.io.DataBatch([mx.nd.array(arrays["data"])], [mx.nd.array(rng.randint(0, 4, 4))])
    learned = []
    for graph in (composed(symbol, {"data": IMAGES}), fast(symbol, IMAGES, True)):
        grads = {"data": "null", "softmax_label": "null"}
        shapes = {name: value.shape for name, value in arrays.items()}
        executor = graph.simple_bind(
            CPU, grad_req={n: grads.get(n, "write") for n in shapes}, **shapes
        )
        arrays["softmax_label"] = batch.label[0].asnumpy()
        executor.copy_params_from(
            {n: mx.nd.array(v) for n, v in arrays.items()},
            {n: mx.nd.array(v) for n, v in aux.items()},
        )
        for _ in range(3):
            executor.forward(is_train=True)
            executor.backward()
            for name in set(shapes) - set(grads):
                executor.arg_dict[name][:] -= 0.01 * executor.grad_dict[name]
        states = executor.arg_dict | executor.aux_dict
        learned.append({name: value.asnumpy() for name, value in states.items()})
    for name, wanted in learned[0].items():
        close(learned[1][name], wanted, rtol=1e-3)


def test_bound_from_the_shape_of_the_data_alone():
    ours = fast(mobile(), (1, 3, 9, 9), False)
    executor = ours.simple_bind(CPU, grad_req="null", data=(2, 3, 10, 10))
    assert executor.forward(is_train=False)[0].shape == (2, 4)

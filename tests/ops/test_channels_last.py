"""Our convolution with what surrounds it against the stock operators, and where it is used."""

from itertools import product
import json

from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.ops import fast_graph, fold_norms
from arcface_mxnet.ops.library import load_operators
import mxnet as mx
import numpy as np
import pytest

CPU = mx.cpu()
SURROUNDINGS = ("bias", "before", "after", "prelu", "sum")


@pytest.fixture(scope="module", autouse=True)
def operators():
    assert load_operators()


def norm(data, name):
    return mx.sym.BatchNorm(data, fix_gamma=False, eps=2e-3, name=name)


def stock(filters, geometry, surroundings=()):
    """Return a unit of stock operators on "data", and "other" to be added."""
    kernel, stride, pad = ((size, size) for size in geometry)
    body = mx.sym.Variable("data")
    if "before" in surroundings:
        body = norm(body, "before")
    body = mx.sym.Convolution(
        body,
        num_filter=filters,
        kernel=kernel,
        stride=stride,
        pad=pad,
        no_bias="bias" not in surroundings,
        name="conv",
    )
    if "after" in surroundings:
        body = norm(body, "after")
    if "prelu" in surroundings:
        body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu")
    return body + mx.sym.Variable("other") if "sum" in surroundings else body


def ours(filters, geometry, surroundings=()):
    """Return the same unit as one operator between transposes."""
    kernel, stride, pad = geometry
    inputs = [mx.sym.transpose(mx.sym.Variable("data"), axes=(0, 2, 3, 1))]
    inputs.append(mx.sym.Variable("conv_weight", shape=(0, 0, 0, 0)))
    names = {
        "bias": ["conv_bias"],
        "before": [f"before_{n}" for n in ("gamma", "beta", "moving_mean", "moving_var")],
        "after": [f"after_{n}" for n in ("gamma", "beta", "moving_mean", "moving_var")],
        "prelu": ["relu_gamma"],
    }
    for part in names:
        if part in surroundings:
            inputs += [mx.sym.Variable(name, shape=(0,)) for name in names[part]]
    if "sum" in surroundings:
        inputs.append(mx.sym.transpose(mx.sym.Variable("other"), axes=(0, 2, 3, 1)))
    body = mx.sym.arcface_convolution(
        *inputs,
        filters=filters,
        kernel=kernel,
        stride=stride,
        pad=pad,
        eps_before=2e-3,
        eps_after=2e-3,
        fixed=0,
        **{part: int(part in surroundings) for part in SURROUNDINGS},
    )
    return mx.sym.transpose(body, axes=(0, 3, 1, 2))


def random_arrays(symbol, seed=0, **shapes):
    rng = np.random.RandomState(seed)
    known, _, states = symbol.infer_shape(**shapes)
    arrays = {}
    for name, shape in zip(symbol.list_arguments(), known, strict=True):
        width = np.sqrt(np.prod(shape[1:])) if name.endswith("weight") else 1
        arrays[name] = mx.nd.array(rng.randn(*shape) / width)
    aux = {
        name: mx.nd.array(rng.rand(*shape) + 0.5)
        for name, shape in zip(symbol.list_auxiliary_states(), states, strict=True)
    }
    return arrays, aux


def embed(symbol, arrays, aux, ctx=CPU, output=0):
    shapes = {name: value.shape for name, value in arrays.items()}
    executor = symbol.simple_bind(ctx, grad_req="null", **shapes)
    executor.copy_params_from(arrays, aux)
    return executor.forward(is_train=False)[output].asnumpy()


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def operators_of(symbol):
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"]]


@pytest.mark.parametrize(
    "shape,filters,geometry",
    [
        ((1, 1, 1, 1), 1, (3, 1, 1)),
        ((1, 3, 20, 30), 64, (3, 1, 1)),
        ((9, 16, 7, 7), 5, (3, 1, 1)),  # from here on Winograd
        ((2, 17, 14, 18), 33, (3, 1, 1)),
        ((2, 64, 19, 17), 130, (3, 1, 1)),
        ((8, 512, 7, 7), 64, (3, 1, 1)),
        ((1, 256, 28, 28), 256, (3, 1, 1)),
        ((2, 16, 112, 112), 64, (3, 1, 1)),  # several rounds
        ((1, 5, 9, 13), 7, (3, 2, 1)),
        ((3, 64, 14, 14), 128, (3, 2, 1)),
        ((3, 64, 14, 14), 128, (1, 2, 0)),
        ((2, 33, 8, 8), 65, (1, 1, 0)),
        ((2, 3, 15, 11), 9, (7, 2, 3)),
        ((5, 20, 300, 290), 3, (2, 1, 0)),  # in parts
    ],
)
def test_convolution(shape, filters, geometry):
    wanted, found = (make(filters, geometry) for make in (stock, ours))
    assert found.infer_shape(data=shape)[:2] == wanted.infer_shape(data=shape)[:2]
    arrays, aux = random_arrays(wanted, data=shape)
    assert_close(embed(found, arrays, aux), embed(wanted, arrays, aux))


@pytest.mark.parametrize("shape", [(9, 16, 7, 7), (5, 6, 40, 40)])  # by Winograd, and not
@pytest.mark.parametrize("which", list(product((0, 1), repeat=len(SURROUNDINGS))))
def test_surroundings(shape, which):
    parts = [part for part, used in zip(SURROUNDINGS, which, strict=True) if used]
    shapes = {"data": shape}
    if "sum" in parts:
        shapes["other"] = (shape[0], 18, *shape[2:])
    wanted, found = (make(18, (3, 1, 1), parts) for make in (stock, ours))
    assert sorted(found.list_arguments()) == sorted(wanted.list_arguments())
    assert found.list_auxiliary_states() == wanted.list_auxiliary_states()
    arrays, aux = random_arrays(wanted, **shapes)
    assert_close(embed(found, arrays, aux), embed(wanted, arrays, aux))


def test_parts_of_a_batch_with_a_sum():
    """Images of 300x300 do not all fit into one frame."""
    shapes = {"data": (5, 20, 300, 290), "other": (5, 3, 300, 290)}
    wanted, found = (make(3, (1, 1, 0), ["before", "sum"]) for make in (stock, ours))
    arrays, aux = random_arrays(wanted, **shapes)
    assert_close(embed(found, arrays, aux), embed(wanted, arrays, aux))


def test_one_slope_for_all():
    unit = ours(18, (3, 1, 1), ["prelu"])
    arrays, _ = random_arrays(stock(18, (3, 1, 1), ["prelu"]), data=(9, 16, 7, 7))
    each = embed(unit, dict(arrays, relu_gamma=mx.nd.full((18,), 0.25)), {})
    np.testing.assert_array_equal(
        embed(unit, dict(arrays, relu_gamma=mx.nd.array([0.25])), {}), each
    )


def network(act="prelu"):
    """Two residual units on a stem, all of them Winograd's at 28x28, and a dense layer."""

    def active(data, name):
        if act == "prelu":
            return mx.sym.LeakyReLU(data, act_type="prelu", name=name)
        return mx.sym.Activation(data, act_type=act, name=name)

    def conv(data, name, **more):
        more = {"kernel": (3, 3), "pad": (1, 1), "no_bias": True, "num_filter": 16} | more
        return mx.sym.Convolution(data, name=name, **more)

    body = active(norm(conv(mx.sym.Variable("data"), "conv0"), "bn0"), "relu0")
    for number, stride in (("1", (2, 2)), ("2", (1, 1))):
        new = conv(norm(body, f"a{number}"), f"first{number}")
        new = active(norm(new, f"b{number}"), f"relu{number}")
        new = norm(conv(new, f"second{number}", stride=stride), f"c{number}")
        if number == "1":
            body = conv(body, "shortcut", kernel=(1, 1), pad=(0, 0), stride=stride)
            body = norm(body, "sc")
        body = new + body
    return mx.sym.FullyConnected(norm(body, "last"), num_hidden=4, name="fc")


SHAPES = {"data": (4, 3, 28, 28)}


def test_whole_network():
    symbol = network()
    arrays, aux = random_arrays(symbol, **SHAPES)
    fast = fast_graph(symbol, CPU, training=False)
    fixed = fold_norms(fast, CPU, arrays, aux, {"data": (1, 3, 28, 28)})
    wanted = embed(symbol, arrays, aux)
    for graph in (fast, fixed):
        found = operators_of(graph)
        assert found.count("arcface_convolution") == 6
        assert found.count("transpose") == 2
        assert found.count("BatchNorm") == 1
        assert not {"Convolution", "LeakyReLU", "elemwise_add"} & set(found)
        assert sorted(graph.list_arguments()) == sorted(symbol.list_arguments())
        assert sorted(graph.list_auxiliary_states()) == sorted(symbol.list_auxiliary_states())
        assert graph.list_outputs() == symbol.list_outputs()
        assert_close(embed(graph, arrays, aux), wanted)
    assert "arcface" not in symbol.tojson()


def test_weights_that_change_and_weights_that_stay():
    """What is bound for fixed parameters packs its weights once; the other every time."""
    symbol = network()
    arrays, aux = random_arrays(symbol, **SHAPES)
    others, _ = random_arrays(symbol, seed=1, **SHAPES)
    others["data"] = arrays["data"]
    fast = fast_graph(symbol, CPU, training=False)
    fixed = fold_norms(fast, CPU, arrays, aux, SHAPES)
    for graph, follows in ((fast, True), (fixed, False)):
        executor = graph.simple_bind(CPU, grad_req="null", **SHAPES)
        executor.copy_params_from(arrays, aux)
        first = executor.forward(is_train=False)[0].asnumpy()
        np.testing.assert_array_equal(first, executor.forward(is_train=False)[0].asnumpy())
        executor.copy_params_from(others, aux)
        found = executor.forward(is_train=False)[0].asnumpy()
        assert np.allclose(found, embed(symbol, others, aux), rtol=1e-3, atol=1e-3) is follows


def test_two_contexts():
    symbol = network()
    arrays, aux = random_arrays(symbol, **SHAPES)
    graph = fold_norms(
        fast_graph(symbol, [CPU, mx.cpu(1)], training=False), CPU, arrays, aux, SHAPES
    )
    wanted = embed(symbol, arrays, aux)
    for ctx in (CPU, mx.cpu(1)):
        assert_close(embed(graph, arrays, aux, ctx), wanted)


def test_what_others_read_too_stays():
    """Outputs inside of a unit, a norm used twice, a sum of two units."""
    data = mx.sym.Variable("data")
    first = norm(data, "first")
    options = {"num_filter": 16, "kernel": (3, 3), "pad": (1, 1), "no_bias": True}
    one = mx.sym.Convolution(first, name="one", **options)
    two = norm(mx.sym.Convolution(first, name="two", **options), "bn")
    both = mx.sym.LeakyReLU(one + two, act_type="prelu", name="relu")
    for symbol in (mx.sym.Group([both, two]), mx.sym.Group([both, one]), both + one, both):
        arrays, aux = random_arrays(symbol, data=(2, 16, 20, 20))
        fast = fast_graph(symbol, CPU, training=False)
        assert operators_of(fast).count("arcface_convolution") == 2
        assert fast.list_outputs() == symbol.list_outputs()
        for output in range(len(symbol.list_outputs())):
            found, wanted = (embed(graph, arrays, aux, output=output) for graph in (fast, symbol))
            assert_close(found, wanted)


def test_what_is_left_alone():
    """Training, other activations, groups, and networks of other convolutions."""
    assert "arcface_convolution" not in operators_of(fast_graph(network(), CPU, training=True))
    assert "arcface_convolution" not in operators_of(fast_graph(network(), CPU))
    assert "Convolution" in operators_of(fast_graph(network(), CPU, kind="convolution"))
    symbol = network("relu")
    assert fast_graph(symbol, CPU, training=False) is symbol
    data = mx.sym.LeakyReLU(mx.sym.Variable("data"), act_type="prelu", name="relu")
    for other in ({"num_group": 2}, {"dilate": (2, 2)}, {"kernel": (3, 1)}, {"kernel": (1, 1)}):
        options = {"num_filter": 16, "kernel": (3, 3), "pad": (1, 1)} | other
        symbol = mx.sym.Convolution(data, name="conv", **options)
        fast = fast_graph(symbol, CPU, training=False)
        assert "arcface_convolution" not in operators_of(fast)
    for name in ("d121", "resnet50v2"):
        symbol = build_network(name, NETWORKS[name].published)
        assert "transpose" not in operators_of(fast_graph(symbol, CPU, training=False))


@pytest.mark.parametrize(
    "name,more", [("r18", {}), ("r18", {"se": 1}), ("r18", {"unit": 1}), ("s20", {"output": "H"})]
)
def test_embedding_of_networks(name, more):
    """Untrained: the embedding is the stock one to float32 rounding."""
    symbol = build_network(name, NetworkOptions(emb_size=64, **more))
    arrays, aux = random_arrays(symbol, data=(2, 3, 112, 112))
    arrays["data"] = mx.nd.array(np.random.RandomState(2).randint(0, 256, (2, 3, 112, 112)))
    fast = fast_graph(symbol, CPU, training=False)
    assert operators_of(fast).count("arcface_convolution") >= 17
    wanted = embed(symbol, arrays, aux).astype(np.float64)
    found = embed(fold_norms(fast, CPU, arrays, aux, {"data": (1, 3, 112, 112)}), arrays, aux)
    lengths = np.linalg.norm(wanted, axis=1)
    assert (np.abs(found - wanted).max(axis=1) < 1e-5 * lengths).all()
    cosines = (wanted * found).sum(axis=1) / lengths / np.linalg.norm(found, axis=1)
    assert (cosines > 0.9999999).all()

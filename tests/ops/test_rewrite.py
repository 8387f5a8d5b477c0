"""What rewrite() refuses, and what it does about entries of many uses."""

import json

from arcface_mxnet.ops import fast_graph
from arcface_mxnet.ops.layouts import slow_norms
from arcface_mxnet.ops.library import load_operators
from arcface_mxnet.ops.rewrite import Claim, Graph, rewrite
import mxnet as mx
import numpy as np
import pytest

CPU = mx.cpu()
SHAPES = {"data": (2, 3, 4, 4)}


@pytest.fixture(scope="module", autouse=True)
def operators():
    assert load_operators()


def convolution(data, name, filters=3, **more):
    more = {"kernel": (1, 1), "no_bias": True} | more
    return mx.sym.Convolution(data, num_filter=filters, name=name, **more)


def norm(data, name):
    return mx.sym.BatchNorm(data, fix_gamma=False, name=name)


def two_convolutions():
    """Return a graph of convolution, BatchNorm, convolution."""
    return convolution(norm(convolution(mx.sym.Variable("data"), "first"), "bn"), "second")


def numbers(graph, *names):
    return tuple(i for name in names for i, n in enumerate(graph.nodes) if n["name"] == name)


def passed_on(graph, *names, old=None):
    """Return the claim of nodes in whose place an old node's output comes (default: an input)."""
    nodes = numbers(graph, *names)
    source = [numbers(graph, old)[0], 0, 0] if old else graph.nodes[nodes[0]]["inputs"][0]
    return Claim(nodes, lambda rewriter: rewriter.entry(source))


def test_a_node_belongs_to_one_claim():
    """In conv, BatchNorm, conv the norm is what follows one and what precedes the other."""
    graph = Graph(two_convolutions(), SHAPES)
    after, before = passed_on(graph, "first", "bn"), passed_on(graph, "bn", "second")
    with pytest.raises(RuntimeError, match="claimed twice: bn by after and before"):
        rewrite(graph, after=[after], before=[before])
    with pytest.raises(RuntimeError, match="claimed twice: bn by both and both"):
        rewrite(graph, both=[after, before])


def test_what_is_read_elsewhere_is_not_swallowed():
    first = convolution(mx.sym.Variable("data"), "first")
    for symbol in (norm(first, "bn") + first, mx.sym.Group([norm(first, "bn"), first])):
        graph = Graph(symbol, SHAPES)
        with pytest.raises(RuntimeError, match="fold swallows first, which is read elsewhere"):
            rewrite(graph, fold=[passed_on(graph, "first", "bn")])


def test_operators_of_several_outputs_are_not_replaced():
    normed = mx.sym.BatchNorm(mx.sym.Variable("data"), output_mean_var=True, name="bn")
    graph = Graph(mx.sym.Group([normed[0], normed[1]]), SHAPES)
    with pytest.raises(RuntimeError, match="drop replaces bn, of which more than output 0 is read"):
        rewrite(graph, drop=[passed_on(graph, "bn")])


def test_what_a_rule_loses_is_named():
    graph = Graph(two_convolutions(), SHAPES)
    lost = "arguments of the graph that drop rewrote .* lacks first_weight \\(3, 3, 1, 1\\) and has"
    with pytest.raises(RuntimeError, match=lost):
        rewrite(graph, drop=[passed_on(graph, "first")])
    with pytest.raises(RuntimeError, match="lacks bn_gamma \\(3,\\), bn_beta \\(3,\\)"):
        rewrite(graph, drop=[passed_on(graph, "bn")])


def test_states_and_outputs_are_compared():
    symbol = mx.sym.Group([mx.sym.Variable("data") * 1, norm(mx.sym.Variable("data"), "bn")])
    graph = Graph(symbol, SHAPES)

    def other(rewriter):
        data, gamma, beta, _, variance = map(rewriter.entry, graph.nodes[-1]["inputs"])
        return rewriter.add("BatchNorm", "bn", [data, gamma, beta, variance, variance], {})

    with pytest.raises(RuntimeError, match="auxiliary states .* lacks bn_moving_mean \\(3,\\)"):
        rewrite(graph, states=[Claim(numbers(graph, "bn"), other)])
    graph = Graph(mx.sym.Activation(mx.sym.Variable("data"), act_type="relu", name="a"), SHAPES)
    with pytest.raises(RuntimeError, match="outputs .* lacks a_output .* has data .* instead"):
        rewrite(graph, names=[passed_on(graph, "a")])


def test_shapes_and_order_are_compared():
    symbol = mx.sym.Group([mx.sym.Variable("a") + mx.sym.Variable("b")])
    graph = Graph(symbol, {"a": (2, 3), "b": (2, 3)})
    number = len(graph.nodes) - 1

    def build(op, attrs, turned=False):
        def add(rewriter):
            inputs = [rewriter.entry(entry) for entry in graph.nodes[number]["inputs"]]
            return rewriter.add(
                op, graph.nodes[number]["name"], inputs[:: -1 if turned else 1], attrs
            )

        return [Claim((number,), add)]

    with pytest.raises(RuntimeError, match="outputs .* lacks .* \\(2, 3\\) and has .* \\(4, 3\\)"):
        rewrite(graph, rule=build("Concat", {"num_args": "2", "dim": "0"}))
    with pytest.raises(RuntimeError, match="arguments .* has them in the order b, a"):
        rewrite(graph, rule=build("elemwise_add", {}, turned=True))
    with pytest.raises(RuntimeError, match="rewritten by rule: the graph does not take inputs"):
        rewrite(graph, rule=build("dot", {}))


def test_shapes_that_do_not_fit_or_do_not_suffice():
    symbol = two_convolutions()
    with pytest.raises(ValueError, match="does not take inputs of {'data': \\(2, 3\\)}"):
        fast_graph(symbol, CPU, {"data": (2, 3)})
    with pytest.raises(ValueError, match="leave shapes of the graph unknown, first that of other"):
        fast_graph(mx.sym.Group([symbol, mx.sym.Variable("other")]), CPU, SHAPES)


def pass_of(symbol, arrays, dtype="float32"):
    """Return the gradients after a pass with seeded output gradients."""
    args = {name: mx.nd.array(value, CPU, dtype) for name, value in arrays.items()}
    grads = {name: mx.nd.zeros(value.shape, CPU, dtype) for name, value in args.items()}
    executor = symbol.bind(CPU, args, args_grad=grads)
    outputs = executor.forward(is_train=True)
    rng = np.random.RandomState(1)
    executor.backward([mx.nd.array(rng.randn(*out.shape), CPU, dtype) for out in outputs])
    return {name: grad.asnumpy() for name, grad in grads.items()}


@pytest.mark.parametrize("kind", ["own", "convolution"])
@pytest.mark.parametrize("uses", [3, 4, 7, 8, 9, 25])
@pytest.mark.parametrize("how", ["plain", "output", "twins"])
def test_entries_of_many_uses(kind, uses, how):
    """MXNet adds up eight gradients and more in place, which operators of ours are not told.

    output: the entry is one of the graph, too.  twins: MXNet makes one node of two equal ones.
    """
    data = mx.sym.Variable("data")
    entries = [mx.sym.tanh(data, name=name) for name in ("x", "y")]
    if how != "twins":
        entries = entries[:1] * 2
    total = 0
    for i in range(uses):
        slope = mx.sym.Variable(f"slope{i}", shape=(3,))
        active = mx.sym.LeakyReLU(entries[i % 2], slope, act_type="prelu", name=f"relu{i}")
        total = total + active * (i + 1)
    symbol = mx.sym.Group([total, entries[0]]) if how == "output" else total
    fast = fast_graph(symbol, CPU, SHAPES, kind=kind, accumulates=False)
    rng = np.random.RandomState(0)
    arrays = {"data": rng.randn(*SHAPES["data"])} | {f"slope{i}": rng.rand(3) for i in range(uses)}
    found = pass_of(fast, arrays)
    rng, x = np.random.RandomState(1), np.tanh(arrays["data"])
    up = rng.randn(*x.shape)
    slopes = sum(
        (i + 1) * np.where(x > 0, 1, arrays[f"slope{i}"].reshape(3, 1, 1)) for i in range(uses)
    )
    wanted = up * slopes + (rng.randn(*x.shape) if how == "output" else 0)
    np.testing.assert_allclose(found["data"], wanted * (1 - x**2), rtol=1e-4, atol=1e-4)
    reads = [tuple(e[:2]) for node in Graph(fast, SHAPES).nodes for e in node["inputs"]]
    assert max(map(reads.count, reads)) < 8


def test_moving_statistics_are_never_copies():
    data, parts = mx.sym.Variable("data"), ("gamma", "beta", "moving_mean", "moving_var")
    shared = [mx.sym.Variable(f"bn_{part}") for part in parts]
    total = sum(mx.sym.BatchNorm(data * (i + 1), *shared, name=f"bn{i}") for i in range(10))
    symbol = mx.sym.LeakyReLU(total, act_type="prelu", name="relu")
    graph = Graph(fast_graph(symbol, CPU, SHAPES, kind="own"), SHAPES)
    norms = [node for node in graph.nodes if node["op"] == "BatchNorm"]
    assert len(norms) == 10
    assert all(graph.are_variables(node["inputs"][3:]) for node in norms)
    assert not all(graph.are_variables(node["inputs"][1:3]) for node in norms)


def test_a_convolution_of_as_many_groups_as_filters_is_not_depthwise():
    data = convolution(mx.sym.Variable("data"), "in", 24)
    data = convolution(norm(data, "bn"), "grouped", 2, num_group=2)
    symbol = mx.sym.FullyConnected(data, num_hidden=2, name="fc")
    operators = [
        [node["op"] for node in json.loads(graph.tojson())["nodes"]]
        for graph in (symbol, fast_graph(symbol, CPU, SHAPES, training=True))
    ]
    assert [ops.count("Convolution") for ops in operators] == [2, 2]


def test_parameters_that_are_computed_stay_with_stock_operators():
    """Their rank may be unknown when it is asked for, and MXNet then writes past its buffers."""
    data, slope = mx.sym.Variable("data"), mx.sym.Variable("slope")
    symbol = mx.sym.LeakyReLU(data, mx.sym.identity(slope), act_type="prelu", name="relu")
    for kind in ("own", "convolution"):
        assert fast_graph(symbol, CPU, SHAPES, kind=kind) is symbol
    weight = mx.sym.Reshape(mx.sym.Variable("w", shape=(3, 3)), shape=(3, 3, 1, 1))
    normed = norm(convolution(data, "one", weight=weight), "bn")
    normed = convolution(normed, "two", num_group=3)
    symbol = convolution(mx.sym.relu(normed), "three") * 1
    found = [n["op"] for n in Graph(fast_graph(symbol, CPU, SHAPES, training=True), SHAPES).nodes]
    assert found.count("arcface_pointwise") == found.count("Convolution") == 1


def test_a_norm_that_is_an_output_keeps_its_name_with_a_copy():
    body = norm(convolution(mx.sym.Variable("data"), "a", 64), "bn")
    symbol = mx.sym.Group([body, convolution(body, "b", 24)])
    made = rewrite(graph := Graph(symbol, SHAPES), layouts=slow_norms(graph)).symbol
    assert made is not symbol
    assert made.list_outputs() == ["bn_output", "b_output"]

"""Every operator of the table against MXNet's: values, gradients, ties, and what is beyond."""

import json

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.checkpoints.network import read_network
from arcface_mxnet.embedding.embedder import Embedder
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.graph import Program  # noqa: E402
from arcface_mxnet.torch_engine.shapes import reshaped  # noqa: E402
from arcface_mxnet.torch_engine.table import OPERATORS  # noqa: E402

A, B, C, D = (mx.sym.Variable(name) for name in "abcd")
S = mx.sym
IMAGE, MATRIX = (2, 4, 7, 6), (3, 5)
LABEL = np.array([2, 9, -1], np.float32)  # of 5 classes: in range, beyond, below
TIED = np.array([[1, 3, 3, 0, -2], [3, 3, 3, 1, 1], [-1, -4, -1, -2, -5]], np.float32)


def numbers(shape, seed=0, low=-2, high=2):
    """Return quarters, among which many are equal, and some 0."""
    return np.random.RandomState(seed).randint(4 * low, 4 * high, shape).astype(np.float32) / 4


def inside(shape, seed=0):
    return np.random.RandomState(seed).uniform(0.1, 0.9, shape).astype(np.float32)


def cases():
    """Yield (what, symbol, inputs by name)."""
    x, y, one = numbers(MATRIX), numbers(MATRIX, 1), inside(MATRIX)
    image, row = numbers(IMAGE, 2), numbers((1, 5), 3)
    for name in ("relu", "sigmoid", "tanh", "square", "exp", "abs", "sign", "negative", "sin",
                 "cos", "floor", "ceil", "ones_like", "zeros_like", "BlockGrad"):  # fmt: skip
        yield name, getattr(S, name)(A), {"a": x}
    yield "_copy", S.identity(A), {"a": x}
    for name in ("sqrt", "rsqrt", "reciprocal", "log", "tan", "arcsin", "arccos", "arctan"):
        yield name, getattr(S, name)(A), {"a": one}
    for name in ("add", "sub", "mul", "div"):
        yield f"elemwise_{name}", getattr(S, f"elemwise_{name}")(A, B), {"a": x, "b": one}
        yield f"broadcast_{name}", getattr(S, f"broadcast_{name}")(A, B), {"a": x, "b": row + 9}
    for name in ("mod", "power", "maximum", "minimum", "equal", "not_equal", "greater",
                 "greater_equal", "lesser", "lesser_equal"):  # fmt: skip
        left, right = (one, one + 1) if name == "power" else (x, y)
        if name == "mod":
            left, right = x, numbers(MATRIX, 4, 1, 3)
        yield f"_{name}", getattr(S._internal, f"_{name}")(A, B), {"a": left, "b": right}
        yield f"broadcast_{name}", getattr(S, f"broadcast_{name}")(A, B), {
            "a": left, "b": right[:1]
        }  # fmt: skip
    for name in ("plus", "minus", "rminus", "mul", "div", "maximum", "minimum", "equal", "mod",
                 "not_equal", "greater", "greater_equal", "lesser", "lesser_equal"):  # fmt: skip
        yield f"_{name}_scalar", getattr(S._internal, f"_{name}_scalar")(A, scalar=0.75), {"a": x}
    for name in ("rdiv", "power", "rpower"):
        yield f"_{name}_scalar", getattr(S._internal, f"_{name}_scalar")(A, scalar=1.5), {"a": one}
    for number in (2, 0):
        yield "_mod_scalar", S._internal._mod_scalar(A, scalar=number), {"a": x}
    unknown = np.array([[0.5, np.nan, 1, np.nan, -2]], "f4")
    for name in ("maximum", "minimum"):  # a run that diverged is not to look like one that did not
        for left, right in ((unknown, row), (row, unknown)):
            both = S.BlockGrad(getattr(S._internal, f"_{name}")(A, B))
            yield f"_{name}", both, {"a": left, "b": right}
        one_alone = S.BlockGrad(getattr(S._internal, f"_{name}_scalar")(A, scalar=0.5))
        yield f"_{name}_scalar", one_alone, {"a": unknown}
    yield "clip", S.clip(A, -0.5, 1), {"a": x}
    yield "add_n", S.add_n(A, B, C), {"a": x, "b": y, "c": one}
    yield "where", S.where(A, B, C), {"a": np.maximum(x, 0), "b": y, "c": one}
    square = {"a": np.array([1, 0, 1], "f4"), "b": numbers((3, 3)), "c": numbers((3, 3), 1)}
    yield "where", S.where(A, B, C), square
    for name in ("sum", "mean", "max", "min", "norm"):
        for options in ({}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, {"axis": -1}):
            if name == "norm" and options.get("axis") == -1:
                continue
            yield name, getattr(S, name)(A, **options), {"a": image + (9 if name == "norm" else 0)}
    for axes in (1, (0, 1, 2, 3), ()):
        for name in ("sum", "mean", "max", "min"):
            yield name, getattr(S, name)(A, axis=axes, exclude=True), {"a": image}
    yield "max", S.max(A, axis=1), {"a": TIED}
    yield "min", S.min(A, axis=1), {"a": TIED}
    yield "argmax", S.argmax(A, axis=1), {"a": TIED}
    yield "argmax", S.argmax(A, axis=0), {"a": x[0]}
    yield "dot", S.dot(A, B, transpose_b=True), {"a": x, "b": y}
    yield "dot", S.dot(A, B, transpose_a=True), {"a": x, "b": y}
    yield "dot", S.dot(A, B), {"a": x[0], "b": y[0]}
    yield "batch_dot", S.batch_dot(A, B, transpose_b=True), {"a": image[0], "b": image[1]}
    yield "Cast", S.Cast(A, dtype="float64"), {"a": x}
    yield "Flatten", S.Flatten(A), {"a": image}
    for codes in ((-1,), (0, -1), (0, -2), (-3, -2), (0, -4, 2, -1, -2), (-4, -1, 2, 0, -2),
                  (0, -3, 6), (2, 4, 42)):  # fmt: skip
        yield "Reshape", S.Reshape(A, shape=codes), {"a": image}
    yield "Reshape", S.Reshape(A, shape=(-1, 0), reverse=True), {"a": image}
    yield "Reshape", S.Reshape(A, shape=(-1, 21, 0), reverse=True), {"a": numbers((2, 7, 3, 6))}
    yield "expand_dims", S.expand_dims(A, axis=1), {"a": x}
    yield "SwapAxis", S.SwapAxis(A, dim1=1, dim2=3), {"a": image}
    yield "transpose", S.transpose(A, axes=(0, 2, 3, 1)), {"a": image}
    yield "transpose", S.transpose(A), {"a": x}
    yield "Concat", S.Concat(A, B, dim=1), {"a": x, "b": y}
    yield "stack", S.stack(A, B, axis=1), {"a": x, "b": y}
    for squeeze in (False, True):
        parts = S.SliceChannel(A, num_outputs=4, axis=1, squeeze_axis=squeeze)
        yield "SliceChannel", S.Group([parts[2], parts[0]]), {"a": image}
    for begin, end in ((1, 3), (-3, -1), (2, None)):
        yield "slice_axis", S.slice_axis(A, axis=1, begin=begin, end=end), {"a": x}
    for begin, end, step in (((1,), (None,), ()), ((0, -4, None), (2, -1, 5), ()),
                             ((None, 3), (None, None), (1, -2)), ((0, 0, 1), (2, 4, 6), (1, 2, 3)),
                             ((0, 0, -1), (2, 4, None), (None, None, -1))):  # fmt: skip
        yield "slice", S.slice(A, begin=begin, end=end, step=step), {"a": image}
    smaller = numbers((1, 2, 3, 6), 10)
    yield "slice_like", S.slice_like(A, B), {"a": image, "b": smaller}
    yield "slice_like", S.slice_like(A, B, axes=(2, -3)), {"a": image, "b": smaller}
    yield "slice_like", S.slice_like(A, B, axes=(-1,)), {"a": x, "b": smaller}
    wide = (0, 0, 0, 0, 2, 1, 0, 3)
    for mode in ("constant", "edge", "reflect"):
        yield "Pad", S.Pad(A, mode=mode, pad_width=wide, constant_value=1.5), {"a": image}
    solid = numbers((1, 2, 3, 4, 3), 12)
    for mode in ("constant", "edge", "reflect"):
        yield "Pad", S.Pad(A, mode=mode, pad_width=(*wide, 1, 2)), {"a": solid}
    yield "_arange", S.broadcast_add(A, S.arange(0, 5, 1)), {"a": x[0]}
    yield "_arange", S.broadcast_add(A, S.arange(0.5, 2, 0.5, repeat=2)), {"a": numbers((6,))}
    yield "_ones", S.broadcast_add(A, S.ones((1, 1))), {"a": x}
    yield "_zeros", S.broadcast_add(A, S.zeros((1, 1))), {"a": x}
    yield "_full", S.broadcast_add(A, S.full((1, 1), 2.5)), {"a": x}
    for mode in ("clip", "wrap"):
        for keep in (False, True):
            yield "pick", S.pick(A, B, axis=1, mode=mode, keepdims=keep), {"a": x, "b": LABEL}
        yield "pick", S.pick(A, B, axis=0, mode=mode), {"a": x[0], "b": LABEL[:1]}
        yield "take", S.take(A, B, mode=mode), {"a": x, "b": LABEL[:2]}
    yield "take", S.take(A, B, axis=1), {"a": image, "b": np.array([[0, 3], [3.7, -1]], "f4")}
    yield "one_hot", S.one_hot(A, depth=5), {"a": LABEL}
    yield "one_hot", S.one_hot(A, depth=5, on_value=2, off_value=-1), {"a": LABEL}
    for axis in (-1, 1):
        yield "softmax", S.softmax(A, axis=axis), {"a": image}
        yield "log_softmax", S.log_softmax(A, axis=axis), {"a": image}
    yield "SoftmaxActivation", S.SoftmaxActivation(A), {"a": x}
    yield "SoftmaxActivation", S.SoftmaxActivation(A, mode="channel"), {"a": image}
    yield from layers(image)
    yield from losses(x, image)


def layers(image):
    weight, bias = numbers((6, 2, 3, 2), 5), numbers((6,), 6)
    options = {"num_filter": 6, "kernel": (3, 2), "num_group": 2, "pad": (1, 0), "stride": (2, 1)}
    names = {"a": image, "b": weight}
    yield "Convolution", S.Convolution(A, B, no_bias=True, **options), names
    named = S.Convolution(A, B, C, dilate=(1, 2), **options)
    yield "Convolution", named, names | {"c": bias}
    dense = numbers((3, 4 * 42), 7)
    yield "FullyConnected", S.FullyConnected(A, B, C, num_hidden=3), {
        "a": image, "b": dense, "c": bias[:3]
    }  # fmt: skip
    flat = S.FullyConnected(A, B, num_hidden=3, no_bias=True, flatten=False)
    yield "FullyConnected", flat, {"a": image, "b": dense[:, :6]}
    for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign"):
        yield "Activation", S.Activation(A, act_type=kind), {"a": image}
    for kind in ("leaky", "elu", "gelu"):
        yield "LeakyReLU", S.LeakyReLU(A, act_type=kind, slope=0.3), {"a": image + 0.125}
    for mode in ("instance", "channel", "spatial"):
        yield "L2Normalization", S.L2Normalization(A, mode=mode), {"a": image}
    yield "L2Normalization", S.L2Normalization(A, eps=0.5), {"a": image[0, 0]}
    plain = {"kernel": (3, 2), "stride": (2, 2)}
    for kind in ("max", "avg", "sum"):
        yield "Pooling", S.Pooling(A, pool_type=kind, **plain), {"a": image}
        yield "Pooling", S.Pooling(A, pool_type=kind, pad=(1, 1), **plain), {"a": image}
        yield "Pooling", S.Pooling(A, pool_type=kind, global_pool=True, kernel=(1, 1)), {"a": image}
        for shape in ((2, 5, 5), (2, 3, 4, 3, 2)):
            over_all = S.Pooling(A, pool_type=kind, global_pool=True)
            yield "Pooling", over_all, {"a": numbers(shape, 13)}
        full = {"pooling_convention": "full", "kernel": (2, 2), "stride": (2, 2)}
        yield "Pooling", S.Pooling(A, pool_type=kind, **full), {"a": image}
    counted = S.Pooling(A, pool_type="avg", pad=(1, 1), count_include_pad=False, **plain)
    yield "Pooling", counted, {"a": image}
    padded = S.Pooling(A, pool_type="avg", pad=(1, 1), pooling_convention="full", **plain)
    yield "Pooling", padded, {"a": image}
    yield "Dropout", S.abs(S.Dropout(S.BlockGrad(A), p=0.5) - 1), {"a": np.ones((3, 4), np.float32)}


def losses(x, image):
    of = {"a": x, "b": LABEL}
    for kind in ("null", "batch", "valid"):
        for options in ({}, {"use_ignore": True}, {"smooth_alpha": 0.1, "grad_scale": 3}):
            yield "SoftmaxOutput", S.SoftmaxOutput(A, B, normalization=kind, **options), of
        places = {"a": image, "b": np.abs(numbers((2, 7, 6), 8, -1, 3)).round()}
        many = S.SoftmaxOutput(A, B, normalization=kind, multi_output=True, use_ignore=True,
                               ignore_label=1)  # fmt: skip
        yield "SoftmaxOutput", many, places
        smooth = S.SoftmaxOutput(A, B, normalization=kind, multi_output=True, smooth_alpha=0.1)
        yield "SoftmaxOutput", smooth, places
        last = S.SoftmaxOutput(A, B, preserve_shape=True, normalization=kind)
        each = np.abs(numbers((2, 4, 7), 8, -1, 3)).round()
        yield "SoftmaxOutput", last, {"a": image, "b": each}
        alone = S.SoftmaxOutput(A, B, normalization=kind, smooth_alpha=0.1)
        yield "SoftmaxOutput", alone, {"a": x[:, :1], "b": LABEL * 0}
        for data in (x[0], image[0], image):
            yield "MakeLoss", S.MakeLoss(A, normalization=kind, grad_scale=0.3), {"a": data}
        for threshold in (0, 0.5):
            made = S.MakeLoss(A, normalization=kind, grad_scale=0.3, valid_thresh=threshold)
            yield "MakeLoss", made, {"a": x}
    yield "SoftmaxOutput", S.SoftmaxOutput(A, B), {"a": x, "b": np.abs(numbers(x.shape, 9))}


CASES = list(cases())


def on_mxnet(symbol, inputs, gradients):
    shapes = {name: value.shape for name, value in inputs.items()}
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", **shapes)
    outputs = executor.forward(is_train=True, **{k: mx.nd.array(v) for k, v in inputs.items()})
    pairs = zip(gradients(outputs), outputs, strict=True)
    executor.backward([mx.nd.array(gradient, dtype=out.dtype) for gradient, out in pairs])
    return (
        [output.asnumpy() for output in outputs],
        {name: executor.grad_dict[name].asnumpy() for name in inputs},
    )


def on_torch(symbol, inputs, gradients):
    program = Program(parse_graph(symbol.tojson(), "the symbol"), training=True)
    values = {name: torch.tensor(value, requires_grad=True) for name, value in inputs.items()}
    outputs, _ = program(values)
    ends = [
        (output, torch.tensor(gradient).to(output.dtype))
        for output, gradient in zip(outputs, gradients(outputs), strict=True)
        if output.requires_grad
    ]
    if ends:
        torch.autograd.backward(*zip(*ends, strict=True))
    return (
        [output.detach().numpy() for output in outputs],
        {
            name: np.zeros(value.shape) if value.grad is None else value.grad.numpy()
            for name, value in values.items()
        },
    )


def drawn(outputs):
    rng = np.random.RandomState(11)
    return [rng.uniform(-1, 1, tuple(output.shape)).astype(np.float32) for output in outputs]


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{c[0]}{i}" for i, c in enumerate(CASES)]
)
def test_values_and_gradients_are_those_of_mxnet(number):
    _, symbol, inputs = CASES[number]
    wanted, slopes = on_mxnet(symbol, inputs, drawn)
    found, own = on_torch(symbol, inputs, drawn)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)
    for name, value in slopes.items():
        np.testing.assert_allclose(own[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


# Compared elsewhere: with states in test_losses.py and below, or as a part of networks.
ELSEWHERE = {"BatchNorm", "sgd_mom_update"}


def test_no_operator_is_left_out():
    assert {name for name, _, _ in CASES} | ELSEWHERE == set(OPERATORS.names())
    assert len(OPERATORS) > 90


@pytest.mark.parametrize("fix_gamma", [False, True])
@pytest.mark.parametrize("shape", [(6, 4, 3, 2), (6, 4), (1, 4)])
@pytest.mark.parametrize("frozen", [False, True])
def test_batch_norm_moves_the_biased_variance(fix_gamma, shape, frozen):
    symbol = S.BatchNorm(
        A, S.Variable("gamma"), S.Variable("beta"), S.Variable("mean"), S.Variable("var"),
        fix_gamma=fix_gamma, momentum=0.7, eps=1e-3, use_global_stats=frozen,
    )  # fmt: skip
    values = {"a": numbers(shape) * 3 + 1, "gamma": inside((4,)), "beta": numbers((4,), 1)}
    states = {"mean": numbers((4,), 2), "var": inside((4,), 3)}
    executor = symbol.simple_bind(mx.cpu(), grad_req="write", a=shape)
    executor.copy_params_from(
        {k: mx.nd.array(v) for k, v in values.items() if k != "a"},
        {k: mx.nd.array(v) for k, v in states.items()},
    )
    executor.forward(is_train=True, a=mx.nd.array(values["a"]))
    (gradient,) = drawn(executor.outputs)
    executor.backward([mx.nd.array(gradient)])
    mx.nd.waitall()
    program = Program(parse_graph(symbol.tojson(), "the symbol"), training=True)
    given = {k: torch.tensor(v, requires_grad=True) for k, v in values.items()}
    (output,), changes = program(given | {k: torch.tensor(v) for k, v in states.items()})
    output.backward(torch.tensor(gradient))
    wanted = executor.outputs[0].asnumpy()
    np.testing.assert_allclose(output.detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
    for name in values:
        slope = (
            np.zeros(values[name].shape) if given[name].grad is None else given[name].grad.numpy()
        )
        wanted = executor.grad_dict[name].asnumpy()
        np.testing.assert_allclose(slope, wanted, rtol=1e-4, atol=2e-5, err_msg=name)
    moved = {c.state: c.share * states[c.state] + (1 - c.share) * c.value.numpy() for c in changes}
    assert set(moved) == (set() if frozen else {"mean", "var"})
    for name, state in (states | moved).items():
        np.testing.assert_allclose(state, executor.aux_dict[name].asnumpy(), rtol=1e-5, atol=1e-6)


def test_prelu_in_which_mxnets_slope_is_right():
    """MXNet's own gradient of the slope is wrong on a CPU, where it is computed in place."""
    symbol = S.LeakyReLU(A, B, act_type="prelu")
    data, slopes = numbers(IMAGE), numbers((4,), 1)
    (found,), own = on_torch(symbol, {"a": data, "b": slopes}, drawn)
    negative = np.minimum(data, 0)
    column = slopes.reshape(1, 4, 1, 1)
    np.testing.assert_allclose(found, np.maximum(data, 0) + column * negative, rtol=1e-6)
    (gradient,) = drawn([found])
    np.testing.assert_allclose(own["b"], (gradient * negative).sum(axis=(0, 2, 3)), rtol=1e-4)
    wanted = np.where(data > 0, gradient, column * gradient)
    np.testing.assert_allclose(own["a"], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    "p, kind, low, high", [(0.4, "Dropout", 0.55, 0.65), (0, "Dropout", 1, 1), (0.3, "rrelu", 1, 1)]
)
def test_what_is_drawn(p, kind, low, high):
    torch.manual_seed(0)
    data = np.ones((100, 100), np.float32)
    if kind == "rrelu":
        symbol = S.LeakyReLU(A, act_type="rrelu", lower_bound=0.1, upper_bound=0.3)
        (found,), _ = on_torch(symbol[0], {"a": -data}, drawn)
        assert -0.3 <= found.min() < -0.29 and -0.11 < found.max() <= -0.1
        return
    (found,), own = on_torch(S.Dropout(A, p=p), {"a": data}, drawn)
    assert low <= (found != 0).mean() <= high
    assert np.allclose(found[found != 0], 1 / (1 - p))
    (gradient,) = drawn([found])
    np.testing.assert_allclose(own["a"], gradient * found, rtol=1e-6)
    still = Program(parse_graph(S.Dropout(A, p=p).tojson(), "the symbol"), training=False)
    assert torch.equal(still({"a": torch.tensor(data)})[0][0], torch.tensor(data))


def test_dropout_along_axes_is_one_draw():
    torch.manual_seed(0)
    (found,), _ = on_torch(S.Dropout(A, p=0.5, axes=(1,)), {"a": np.ones((50, 8), "f4")}, drawn)
    assert (found == found[:, :1]).all() and 10 < (found[:, 0] == 0).sum() < 40


@pytest.mark.parametrize(
    "symbol, message",
    [
        (S.LeakyReLU(A, act_type="selu", name="g"), "LeakyReLU 'g'.*act_type selu"),
        (S.erf(A, name="odd"), "node 'odd'.*'erf'"),
        (S.BatchNorm(A, axis=3, name="bn"), "BatchNorm 'bn': .*another axis"),
        (S.Pooling(A, pool_type="lp", kernel=(2, 2), p_value=2, name="p"), "Pooling 'p'.*lp"),
        (S.softmax(A, temperature=2, name="warm"), "softmax 'warm'.*temperature"),
        (S.clip(A, 1, -1, name="turned"), "clip 'turned': a_min 1 with a_max -1"),
        (S.SoftmaxOutput(A, B, out_grad=True, name="s"), "SoftmaxOutput 's'.*multiplied"),
        (S.SoftmaxOutput(A, B, ignore_label=np.inf, name="s"), "'s': ignore_label inf cannot be"),
        (S.SoftmaxOutput(A, B, ignore_label=np.nan, name="s"), "'s': ignore_label nan cannot be"),
        (S.Convolution(A, kernel=(3, 3), num_filter=2, layout="NHWC", name="c"), "'c': a layout"),
    ],
)
def test_what_is_not_known_is_named_with_its_node(symbol, message):
    with pytest.raises(ValueError, match=message):
        Program(parse_graph(symbol.tojson(), "the symbol"), training=True)


def test_a_bias_that_is_missing_is_not_left_out():
    """MXNet before 0.9 made up the inputs that a file does not list."""
    nodes = [{"op": "null", "name": name, "inputs": []} for name in "ab"]
    layer = {"op": "FullyConnected", "name": "f", "attrs": {"num_hidden": "3"}}
    nodes.append(layer | {"inputs": [[0, 0], [1, 0]]})
    text = json.dumps({"nodes": nodes, "arg_nodes": [0, 1], "heads": [[2, 0]]})
    with pytest.raises(ValueError, match="FullyConnected 'f': a bias where the option no_bias"):
        Program(parse_graph(text, "s"), training=True)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("output", [1, 2])
def test_hidden_outputs_are_not_made_up(training, output):
    """MXNet's second and third of a norm are the mean and the inverse deviation."""
    written = json.loads(S.relu(S.BatchNorm(A, name="bn"), name="r").tojson())
    written["nodes"][-1]["inputs"] = [[len(written["nodes"]) - 2, output, 0]]
    with pytest.raises(ValueError, match=f"BatchNorm 'bn': output {output} of it is read"):
        Program(parse_graph(json.dumps(written), "s"), training=training)


def test_a_smoothing_that_is_no_share_is_named():
    text = S.SoftmaxOutput(A, B, smooth_alpha=0.5, name="s").tojson()
    with pytest.raises(ValueError, match="SoftmaxOutput 's': a smooth_alpha that is no share"):
        Program(parse_graph(text.replace('"0.5"', '"5"'), "the symbol"), training=True)


def test_an_option_of_no_known_name_is_named():
    text = S.relu(A, name="r").tojson().replace('"name": "r"', '"name": "r", "attrs": {"odd": "1"}')
    with pytest.raises(ValueError, match="relu 'r': the option odd cannot be computed on PyTorch"):
        Program(parse_graph(text, "the symbol"), training=True)


def test_shapes_that_do_not_fit_are_told_with_the_node():
    program = Program(parse_graph(S.elemwise_add(A, B, name="sum").tojson(), "s"), training=True)
    with pytest.raises(
        ValueError, match=r"elemwise_add 'sum' gets \(2, 1\), \(2, 3\): .*different"
    ):
        program({"a": torch.zeros(2, 1), "b": torch.zeros(2, 3)})


@pytest.mark.parametrize(
    "symbol, shapes",
    [
        (S.slice_axis(A, axis=3, begin=0, end=1), [(2, 3, 4)]),
        (S.slice_like(A, B, axes=(-1,)), [(2, 3, 4), ()]),
        (S.take(A, B, axis=2), [(2, 3), (1,)]),
        (S.Pooling(A, kernel=(2, 2)), [(2, 3, 4)]),
        (S.Convolution(A, B, kernel=(2, 2), num_filter=5, no_bias=True), [(2, 3, 4), (5, 2, 2, 2)]),
        (S.where(A, B, C), [(1, 3), (3, 3), (3, 3)]),
        (S.dot(A, B), [(3, 3), (1,)]),
        (S.sum(A, axis=(0, 0), exclude=True), [(3, 3)]),
        (S.pick(A, B, axis=1), [(3, 3), (3, 3)]),
        (S.pick(A, B, axis=1), [(3, 3), (1,)]),
        (S.L2Normalization(A), [(3,)]),
        (S.L2Normalization(A, mode="channel"), [(3, 3)]),
        (S.FullyConnected(A, B, C, num_hidden=2), [(3, 3), (2, 3), (1,)]),
        (S.where(A, B, C), [(2,), (3, 3), (3, 3)]),
        (S.SoftmaxOutput(A, B), [(2, 3, 4), (2, 3)]),
    ],
)
def test_what_mxnet_refuses_is_not_computed(symbol, shapes):
    program = Program(parse_graph(symbol.tojson(), "s"), training=True)
    with pytest.raises(ValueError, match="gets"):
        program({name: torch.zeros(shape) for name, shape in zip("abc", shapes, strict=False)})


@pytest.mark.parametrize("codes", [(5, -1), (-3,), (0, 0, 0), (-4, 2), (-4, 4, 2, -2), (-5,), (7,)])
def test_codes_that_do_not_fit_are_refused(codes):
    with pytest.raises(ValueError, match="shape"):
        reshaped((6, 4) if codes != (-3,) else (6,), codes)


def test_a_published_network_embeds_as_mxnets(shared_data):
    """Its symbol is a training symbol, of a network that others trained."""
    checkpoint = f"{shared_data / 'published_y1' / 'model'},0"
    if not (shared_data / "published_y1").is_dir():
        pytest.skip("no ../shared/data/published_y1")
    network = read_network(checkpoint)
    images = np.random.RandomState(0).randint(0, 256, (4, 112, 112, 3)).astype(np.uint8)
    wanted = Embedder(checkpoint, flip=False, normalize=False, engine="mxnet")(images)
    values = {name: torch.tensor(value) for name, value in network.parameters.items()}
    values["data"] = torch.tensor(images.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        (found,), changes = Program(network.graph, training=False)(values)
    assert not changes
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-3, atol=1e-4)

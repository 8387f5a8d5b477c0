"""Every operator that the export knows gives in onnxruntime what it gives in MXNet."""

import dataclasses
import itertools
import json
import re

from arcface_mxnet.checkpoints.graph import parse_graph, without_casts
from arcface_mxnet.checkpoints.network import StoredNetwork
from arcface_mxnet.engines.conversion import convert
from arcface_mxnet.engines.operators import OPERATORS
import mxnet as mx
import numpy as np
import onnx
import onnxruntime
import pytest


def run_mxnet(symbol, arg_params, aux_params, data):
    """Return the first output by MXNet's own operators."""
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(arg_params, aux_params)
    return executor.forward(is_train=False, data=mx.nd.array(data))[0].asnumpy()


SIZE = (9, 11)  # height, width: odd and unequal, so that no axis passes for another
DATA = mx.sym.var("data")
CONV = {"kernel": (3, 3), "num_filter": 4}


def conv(data=DATA, **options):
    return mx.sym.Convolution(data, **{**CONV, **options})


def vector(data=DATA):
    return mx.sym.FullyConnected(data, num_hidden=6)


CASES = {
    "conv": conv(),
    "conv_stride_pad_dilate": conv(stride=(2, 1), pad=(2, 1), dilate=(2, 1), no_bias=True),
    "conv_grouped": conv(num_filter=6, num_group=3),
    "conv_of_rows": mx.sym.Convolution(
        mx.sym.reshape(DATA, shape=(0, 0, -3)), kernel=(5,), stride=(2,), num_filter=4
    ),
    "conv_layout": conv(layout="NCHW", workspace=77, cudnn_tune="off"),
    "dense": vector(),
    "dense_no_bias": mx.sym.FullyConnected(DATA, num_hidden=6, no_bias=True),
    "dense_unflattened": mx.sym.FullyConnected(vector(), num_hidden=2, flatten=False),
    "dense_over_the_last_axis": mx.sym.FullyConnected(DATA, num_hidden=6, flatten=False),
    "dense_over_the_last_axis_no_bias": mx.sym.FullyConnected(
        DATA, num_hidden=6, flatten=False, no_bias=True
    ),
    "dense_on_dense": mx.sym.FullyConnected(vector(), num_hidden=2),
    "batch_norm": mx.sym.BatchNorm(DATA, fix_gamma=False, eps=2e-5),
    "batch_norm_fixed_gamma": mx.sym.BatchNorm(DATA),
    "batch_norm_last_of_two": mx.sym.BatchNorm(vector(), axis=-1, fix_gamma=False),
    "batch_norm_global": mx.sym.BatchNorm(DATA, axis=-3, use_global_stats=True, momentum=0.5),
    "batch_norm_folded": mx.sym.BatchNorm(conv(pad=(1, 1), no_bias=True), fix_gamma=False),
    "batch_norm_folded_bias": mx.sym.BatchNorm(conv(pad=(1, 1)), fix_gamma=True),
    "batch_norm_folded_grouped": mx.sym.BatchNorm(conv(num_filter=6, num_group=3), fix_gamma=False),
    "batch_norm_dense": mx.sym.BatchNorm(vector(), fix_gamma=True, eps=2e-5),
    "prelu": mx.sym.LeakyReLU(conv(), act_type="prelu"),
    "prelu_vector": mx.sym.LeakyReLU(vector(), act_type="prelu"),
    "leaky": mx.sym.LeakyReLU(DATA - 120, act_type="leaky", slope=0.1),
    "leaky_of_a_whole_number": mx.sym.LeakyReLU(DATA - 120, act_type="leaky", slope=2),
    "elu_of_a_whole_number": mx.sym.LeakyReLU(DATA * 0.01 - 1, act_type="elu", slope=2),
    "batch_norm_of_a_whole_number": mx.sym.BatchNorm(DATA, fix_gamma=False, eps=1),
    "elu": mx.sym.LeakyReLU(DATA * 0.01 - 1, act_type="elu", slope=0.3),
    "relu": mx.sym.Activation(conv(), act_type="relu"),
    "sigmoid": mx.sym.Activation(DATA * 0.01 - 1, act_type="sigmoid"),
    "tanh": mx.sym.Activation(DATA * 0.01 - 1, act_type="tanh"),
    "softrelu": mx.sym.Activation(DATA * 0.01 - 1, act_type="softrelu"),
    "softsign": mx.sym.Activation(DATA - 120, act_type="softsign"),
    "max_pool": mx.sym.Pooling(DATA, kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type="max"),
    "max_pool_odd": mx.sym.Pooling(DATA, kernel=(4, 3), stride=(3, 2), pad=(2, 1)),
    "max_pool_full": mx.sym.Pooling(
        DATA, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full"
    ),
    "max_pool_full_overlapping": mx.sym.Pooling(
        DATA, kernel=(3, 3), stride=(2, 2), pool_type="max", pooling_convention="full"
    ),
    "max_pool_full_apart": mx.sym.Pooling(
        DATA, kernel=(3, 4), stride=(3, 4), pool_type="max", pooling_convention="full"
    ),
    "max_pool_full_padded": mx.sym.Pooling(
        DATA, kernel=(4, 4), stride=(3, 3), pad=(1, 2), pooling_convention="full"
    ),
    "avg_pool_full_padded": mx.sym.Pooling(
        DATA, kernel=(4, 4), stride=(3, 3), pad=(1, 2), pool_type="avg", pooling_convention="full"
    ),
    "avg_pool_full_padded_inside": mx.sym.Pooling(
        DATA, kernel=(4, 4), stride=(3, 3), pad=(1, 2), pool_type="avg", pooling_convention="full",
        count_include_pad=False,
    ),
    "max_pool_of_rows_full": mx.sym.Pooling(
        mx.sym.reshape(DATA, shape=(0, 0, -3)), kernel=(5,), stride=(4,), pad=(2,),
        pooling_convention="full",
    ),
    "avg_pool": mx.sym.Pooling(DATA, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg"),
    "avg_pool_full": mx.sym.Pooling(
        DATA, kernel=(2, 2), stride=(2, 2), pool_type="avg", pooling_convention="full"
    ),
    "avg_pool_full_overlapping": mx.sym.Pooling(
        DATA, kernel=(4, 3), stride=(3, 2), pool_type="avg", pooling_convention="full",
        count_include_pad=False,
    ),
    "avg_pool_inside": mx.sym.Pooling(
        DATA, kernel=(3, 3), pad=(1, 1), pool_type="avg", count_include_pad=False
    ),
    "global_avg_pool": mx.sym.Pooling(DATA, global_pool=True, kernel=(1, 1), pool_type="avg"),
    "global_max_pool": mx.sym.Pooling(DATA, global_pool=True, kernel=(1, 1), pool_type="max"),
    "global_avg_pool_of_any_kernel": mx.sym.Pooling(
        DATA, global_pool=True, kernel=(5, 5), stride=(2, 2), pad=(1, 1), pool_type="avg"
    ),
    "dropout": mx.sym.Dropout(DATA, p=0.4),
    "block_grad": mx.sym.BlockGrad(DATA),
    "identity": mx.sym.identity(DATA),
    "half_precision": mx.sym.Cast(mx.sym.Cast(DATA * 0.01, dtype="float16"), dtype="float32"),
    "flatten": mx.sym.Flatten(DATA),
    "scalars": 200 - (DATA - 127.5) * 0.0078125 + 2 / (DATA + 1) + DATA / 3,
    "power": mx.sym.sqrt(DATA**2 + 1),
    "limits": mx.sym.maximum(mx.sym.minimum(DATA, 200), 50),
    "limits_of_two": mx.sym.broadcast_maximum(
        mx.sym.broadcast_minimum(DATA, 255 - DATA), DATA / 3
    ),
    "limits_elementwise": mx.sym._internal._maximum(
        mx.sym._internal._minimum(DATA, 255 - DATA), DATA / 3
    ),
    "relu_operator": mx.sym.relu(DATA - 120),
    "sums": mx.sym.add_n(DATA, DATA * 2, DATA - conv(kernel=(1, 1), num_filter=3)),
    "products": DATA * conv(kernel=(1, 1), num_filter=3) / (DATA + 1),
    "broadcast": mx.sym.broadcast_mul(
        DATA, mx.sym.sigmoid(mx.sym.mean(DATA * 0.01, axis=(2, 3), keepdims=True))
    ),
    "broadcast_others": mx.sym.broadcast_add(
        mx.sym.broadcast_div(DATA, mx.sym.sum(DATA, axis=1, keepdims=True) + 1),
        mx.sym.broadcast_sub(DATA, mx.sym.max(DATA, axis=1, keepdims=True)),
    ),
    "mean_of_all": mx.sym.broadcast_mul(
        DATA, mx.sym.reshape(mx.sym.mean(DATA), shape=(1, 1, 1, 1))
    ),
    "mean_of_all_alone": mx.sym.mean(DATA),
    "max_of_all_kept": mx.sym.max(DATA, keepdims=True),
    "norm": mx.sym.norm(DATA, axis=1, keepdims=True),
    "norm_of_two": mx.sym.norm(DATA, axis=(2, -1)),
    "mean_over_the_batch": mx.sym.broadcast_sub(DATA, mx.sym.mean(DATA, axis=0, keepdims=True)),
    "reduce_exclude": mx.sym.sum(DATA, axis=(0, 1), exclude=True),
    "reduce_nothing": mx.sym.mean(DATA, axis=(0, 1, 2, 3), exclude=True, keepdims=True),
    "reduce_min": mx.sym.min(DATA, axis=-1),
    "square": mx.sym.square(DATA * 0.01),
    "exp_abs_negative": mx.sym.exp(mx.sym.negative(mx.sym.abs(DATA * 0.01 - 1))),
    "clip": mx.sym.clip(DATA, 30, 90),
    "broadcast_of_other_rank": mx.sym.broadcast_add(DATA, mx.sym.sum(DATA, axis=(0, 1))),
    "sum_of_one": mx.sym.add_n(DATA),
    "concat_behind": mx.sym.concat(DATA, DATA * 2, dim=-2),
    "concat": mx.sym.concat(DATA, conv(kernel=(1, 1)), dim=1),
    "split": mx.sym.add_n(*mx.sym.SliceChannel(DATA, num_outputs=3)),
    "split_squeezed": mx.sym.add_n(*mx.sym.SliceChannel(DATA, num_outputs=3, squeeze_axis=True)),
    "split_in_one": mx.sym.SliceChannel(DATA, num_outputs=1)[0],
    "split_elsewhere": mx.sym.add_n(*mx.sym.SliceChannel(DATA, num_outputs=3, axis=-3)),
    "split_partly_read": mx.sym.SliceChannel(DATA, num_outputs=3)[1],
    "slice_axis": mx.sym.slice_axis(DATA, axis=2, begin=1, end=None)
    - mx.sym.slice_axis(DATA, axis=2, begin=0, end=-1),
    "slice": mx.sym.slice(DATA, begin=(None, 1, 0), end=(None, None, -2)),
    "slice_of_nothing": mx.sym.slice(DATA, begin=(None, 0), end=(None, None)) + 1,
    "slice_backwards": mx.sym.slice(DATA, begin=(None, -2, -9), end=(None, -1, 9), step=(1, 1, 1)),
    "slice_in_steps": mx.sym.slice(DATA, begin=(None, 0, 8), end=(None, 3, None), step=(1, 2, -3)),
    "slice_reversed": mx.sym.slice(
        DATA, begin=(None, None, -1, 10), end=(None, None, None, 2), step=(None, -1, -2, -1)
    ),
    "slice_like_all": mx.sym.slice_like(DATA, conv(kernel=(3, 2), num_filter=2)),
    "slice_like": mx.sym.slice_like(DATA, conv(kernel=(3, 3)), axes=(2, 3)),
    "transpose": mx.sym.transpose(DATA, axes=(0, 2, 3, 1)),
    "transpose_all": mx.sym.transpose(DATA),
    "swap_axis": mx.sym.SwapAxis(DATA, dim1=1, dim2=3),
    "reshape": mx.sym.reshape(DATA, shape=(0, -1, 9)),
    "reshape_to_rows": mx.sym.reshape(DATA, shape=(-1, 11)),
    "reshape_behind_copies": mx.sym.reshape(DATA, shape=(-1, 0, 9, 11)),
    "reshape_joined": mx.sym.reshape(DATA, shape=(0, -3, -2)),
    "reshape_split": mx.sym.reshape(DATA, shape=(0, 0, -4, 3, -1, -2)),
    "reshape_split_first": mx.sym.reshape(DATA, shape=(0, -4, -1, 3, -3)),
    "reshape_reversed": mx.sym.reshape(DATA, shape=(-1, 0, 9, 0), reverse=True),
    "reshape_joined_reversed": mx.sym.reshape(DATA, shape=(-3, -3), reverse=True),
    "reshape_of_batch_and_channels": mx.sym.reshape(DATA, shape=(-3, 0, 0)),
    "flatten_of_vector": mx.sym.Flatten(vector()),
    "expand_dims_behind": mx.sym.expand_dims(DATA, axis=-1),
    "expand_dims": mx.sym.expand_dims(DATA, axis=2),
    "pad": mx.sym.Pad(DATA, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 0), constant_value=7),
    "pad_edge": mx.sym.Pad(DATA, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "pad_reflect": mx.sym.Pad(DATA, mode="reflect", pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "l2_of_vector": mx.sym.L2Normalization(vector()),
    "l2_instance": mx.sym.L2Normalization(DATA, mode="instance"),
    "l2_channel": mx.sym.L2Normalization(DATA, mode="channel", eps=1e-3),
    "l2_spatial": mx.sym.L2Normalization(DATA, mode="spatial"),
    "softmax": mx.sym.softmax(DATA * 0.01, axis=1),
    "softmax_of_last": mx.sym.softmax(DATA * 0.01),
    "softmax_activation": mx.sym.SoftmaxActivation(vector(DATA * 0.01)),
    "softmax_activation_channels": mx.sym.SoftmaxActivation(DATA * 0.01, mode="channel"),
}  # fmt: skip


def random_parameters(symbol, rng):
    """Return arg and aux parameters that leave no operator neutral."""
    arg_shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, *SIZE))
    args = dict(zip(symbol.list_arguments(), arg_shapes, strict=True))
    auxs = dict(zip(symbol.list_auxiliary_states(), aux_shapes, strict=True))
    del args["data"]
    return tuple(
        {n: mx.nd.array(rng.uniform(0.3, 1.7, s) * rng.choice(signs, s)) for n, s in kind.items()}
        for kind, signs in ((args, [-1, 1]), (auxs, [1]))
    )


def stored(symbol, arg_params, aux_params):
    """Return the network of a symbol that need not end in an embedding."""
    parameters = {n: a.asnumpy() for n, a in [*arg_params.items(), *aux_params.items()]}
    return StoredNetwork(without_casts(parse_graph(symbol.tojson(), "the symbol")), parameters)


def run_onnx(model, data):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"data": data})


def both(symbol, batch, **options):
    rng = np.random.default_rng(3)
    data = rng.uniform(0, 255, (batch, 3, *SIZE)).astype(np.float32)
    arg_params, aux_params = random_parameters(symbol, rng)
    model = convert(stored(symbol, arg_params, aux_params), SIZE, **options)
    (actual,) = run_onnx(model, data)
    return run_mxnet(symbol, arg_params, aux_params, data), actual, model


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_operator_agrees_at_any_batch_size(name, fold):
    for batch in (1, 3):
        expected, actual, _ = both(CASES[name], batch, fold=fold)
        assert actual.shape == expected.shape
        tolerance = 2e-3 if name == "half_precision" else 2e-5
        np.testing.assert_allclose(
            actual, expected, rtol=tolerance, atol=tolerance * abs(expected).max()
        )


def test_every_registered_operator_has_a_case():
    used = {
        node["op"] for symbol in CASES.values() for node in json.loads(symbol.tojson())["nodes"]
    }
    assert set(OPERATORS) <= used


@pytest.mark.parametrize(
    "name",
    [
        "batch_norm_folded",
        "batch_norm_folded_bias",
        "batch_norm_folded_grouped",
        "batch_norm_dense",
    ],
)
def test_batch_norm_after_its_own_convolution_is_folded(name):
    assert "BatchNormalization" in [
        n.op_type for n in both(CASES[name], 1, fold=False)[2].graph.node
    ]
    assert "BatchNormalization" not in [n.op_type for n in both(CASES[name], 1)[2].graph.node]


@pytest.mark.parametrize(
    ("symbol", "old"),
    [
        (conv(stride=(2, 1), pad=(1, 0)), {'"(2, 1)"': '"(2L, 1L)"', '"(1, 0)"': '"(1L,0L)"'}),
        (mx.sym.BatchNorm(DATA, fix_gamma=False), {'"False"': '"false"'}),
    ],
)
def test_attributes_as_older_programs_wrote_them(symbol, old):
    text = symbol.tojson()
    for new, written in old.items():
        assert new in text
        text = text.replace(new, written)
    expected, actual, _ = both(mx.sym.load_json(text), 2)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


def test_batch_norm_is_not_folded_where_that_would_be_wrong():
    read_twice = conv(num_filter=3, kernel=(1, 1))
    weight = mx.sym.var("shared_weight")
    shared = [conv(DATA * k, weight=weight, no_bias=True, kernel=(1, 1)) for k in (1, 2)]
    for symbol in (
        mx.sym.BatchNorm(read_twice, fix_gamma=False) + read_twice,
        mx.sym.BatchNorm(shared[0], fix_gamma=False) + shared[1],
        mx.sym.BatchNorm(mx.sym.identity(read_twice), fix_gamma=False) + read_twice,
    ):
        expected, actual, model = both(symbol, 2)
        assert "BatchNormalization" in [node.op_type for node in model.graph.node]
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        (mx.sym.arccos(DATA * 0), "'arccos': unknown operator of the ONNX export"),
        (mx.sym.Dropout(DATA, mode="always"), "works outside training cannot be exported"),
        (mx.sym.Pooling(DATA, kernel=(2, 2), pool_type="sum"), "pool_type sum cannot"),
        (mx.sym.LeakyReLU(DATA, act_type="gelu"), "act_type gelu cannot"),
        (mx.sym.norm(DATA, ord=1, axis=1), "norm of another order"),
        (mx.sym.softmax(DATA, axis=1, temperature=2.0), "softmax with a temperature"),
        (mx.sym.slice(DATA, begin=(0, 0), end=(1, 3), step=(1, 2)), "a cut along the batch"),
        (mx.sym.BatchNorm(DATA, axis=3), "over another axis"),
        (mx.sym.BatchNorm(DATA, output_mean_var=True)[0], "that also gives mean and variance"),
        (mx.sym.SoftmaxActivation(DATA), "mode instance of 4 axes"),
        (mx.sym.clip(DATA, 90, 30), "a_min 90.* above a_max 30.* cannot be exported"),
        (mx.sym.LeakyReLU(DATA, act_type="selu"), "act_type selu cannot"),
        (mx.sym.LeakyReLU(DATA, act_type="rrelu"), "act_type rrelu cannot"),
        (mx.sym.Pooling(DATA, kernel=(2, 2), pool_type="lp", p_value=2), "pool_type lp cannot"),
        (
            mx.sym.Deconvolution(DATA, kernel=(2, 2), num_filter=2),
            "'Deconvolution': unknown operator of the ONNX export",
        ),
        (mx.sym.slice_axis(DATA, axis=0, begin=0, end=1), "a cut along the batch"),
        (mx.sym.SliceChannel(DATA, num_outputs=1, axis=0)[0], "free values in 1 parts"),
        (mx.sym.softmax(DATA, dtype="float64"), "softmax in float64"),
    ],
)
def test_what_cannot_be_exported_is_said(symbol, message):
    with pytest.raises(ValueError, match=message):
        convert(stored(symbol, *random_parameters(symbol, np.random.default_rng(3))), SIZE)


WINDOWS = list(itertools.product((1, 2, 3, 4), (1, 2, 3, 4, 5), (0, 1, 2)))
WINDOWS = [(kernel, stride, pad) for kernel, stride, pad in WINDOWS if pad < kernel]


@pytest.mark.parametrize("kind", ["max", "avg", "avg_inside"])
def test_full_pooling_agrees_or_is_refused_where_a_window_holds_no_pixel(kind):
    data = np.random.default_rng(0).uniform(1, 2, (2, 3, 9, 12)).astype(np.float32)
    refused = 0
    for kernel, stride, pad in WINDOWS:
        options = {
            "kernel": (kernel, kernel), "stride": (stride, stride), "pad": (pad, pad),
            "pooling_convention": "full",
        }  # fmt: skip
        symbol = mx.sym.Pooling(
            DATA, pool_type=kind[:3], count_include_pad=kind != "avg_inside", **options
        )
        highest = run_mxnet(mx.sym.Pooling(DATA, **options), {}, {}, data)
        if (highest < 0).any():  # of nothing: the lowest number there is
            with pytest.raises(ValueError, match="a window of pooling_convention full beyond the"):
                convert(stored(symbol, {}, {}), (9, 12))
            refused += 1
            continue
        (actual,) = run_onnx(convert(stored(symbol, {}, {}), (9, 12)), data)
        np.testing.assert_allclose(actual, run_mxnet(symbol, {}, {}, data), rtol=1e-6)
    assert 5 < refused < len(WINDOWS) - 20


def test_full_pooling_of_any_image_size_is_refused_with_padding():
    for options in ({"kernel": (3, 3), "pad": (1, 1)}, {"kernel": (1, 1)}):
        symbol = mx.sym.Pooling(DATA, stride=(2, 2), pooling_convention="full", **options)
        with pytest.raises(ValueError, match="full with padding, or a stride over its kernel, wit"):
            convert(stored(symbol, {}, {}), None)


@pytest.mark.parametrize("opset", [11, 12, 13, 15])
@pytest.mark.parametrize("name", CASES)
def test_older_opsets_give_the_same(name, opset):
    _, expected, newest = both(CASES[name], 2)
    _, actual, model = both(CASES[name], 2, opset=opset)
    assert [entry.version for entry in model.opset_import] == [opset]
    assert model.ir_version <= newest.ir_version
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6 * abs(expected).max())


@pytest.mark.parametrize("opset", [10, 18])
def test_other_opsets_are_refused(opset):
    with pytest.raises(ValueError, match=f"opset {opset}: this writes 11 to 17"):
        convert(stored(DATA + 1, {}, {}), SIZE, opset=opset)


def as_written(symbol, **attributes):
    """Return a network after its last node was given other attributes, which MXNet may refuse."""
    parameters = random_parameters(symbol, np.random.default_rng(3))
    network = stored(symbol, *parameters)
    *others, last = network.graph.nodes
    last = dataclasses.replace(last, texts=last.texts | attributes)
    graph = dataclasses.replace(network.graph, nodes=(*others, last))
    return StoredNetwork(graph, network.parameters)


POOL = mx.sym.Pooling(DATA, kernel=(2, 2))
SQUARE = mx.sym.reshape(DATA, shape=(0, 0, 9, 11))


@pytest.mark.parametrize(
    ("symbol", "attributes", "message"),
    [
        (conv(), {"layout": "NHWC"}, "a layout that has the channels last cannot"),
        (POOL, {"layout": "NHWC"}, "a layout that has the channels last cannot"),
        (POOL, {"pooling_convention": "same"}, "pooling_convention same cannot"),
        (POOL, {"pad": "(2, 2)"}, r"padding \(2, 2\) of kernel \(2, 2\) cannot"),
        (POOL, {"kernel": "(2"}, r"kernel is '\(2'; give a tuple of whole numbers"),
        (POOL, {"kernel": "(0, 2)"}, r"kernel \(0, 2\), stride"),
        (POOL, {"stride": "(1, 1, 1)"}, r"kernel \(2, 2\), stride \(1, 1, 1\)"),
        (POOL, {"kernel": "None"}, "kernel is 'None'; give a tuple of whole numbers"),
        (POOL, {"count_include_pad": "maybe"}, "count_include_pad is 'maybe'; give True or False"),
        (conv(), {"num_group": "3"}, "9 channels in 3 groups to 4 filters cannot"),
        (conv(), {"no_bias": "True"}, "a bias where the option no_bias says the opposite"),
        (conv(), {"num_filter": "4.5"}, "num_filter is '4.5'; give a whole number"),
        (conv(), {"num_filter": "99999999999"}, "num_filter is '99999999999'; give a whole"),
        (conv(), {"dilate": "(0, 1)"}, r"dilation \(0, 1\)"),
        (mx.sym.transpose(DATA), {"axes": "(0, 1, 1, 2)"}, "one of them twice"),
        (mx.sym.transpose(DATA), {"axes": "(1, 0)"}, "an order of 2 axes for 4"),
        (mx.sym.mean(DATA), {"axis": "(1, 4)"}, "axis 4 of 4"),
        (mx.sym.expand_dims(DATA, axis=1), {"axis": "5"}, "axis 5 of 5"),
        (mx.sym.expand_dims(DATA, axis=1), {"axis": "x"}, "axis is 'x'; give a whole number"),
        (mx.sym.slice_axis(DATA, axis=1, begin=0, end=2), {"end": "9"}, "a cut .0, 9. out of 3"),
        (mx.sym.SliceChannel(DATA, num_outputs=3)[2], {"num_outputs": "4"}, "3 values in 4 parts"),
        (SQUARE, {"shape": "(0, 0, 9, 12)"}, r"shape \(0, 0, 9, 12\) of \(None, 3, 9, 11\)"),
        (SQUARE, {"shape": "(-1, -1)"}, r"shape \(-1, -1\)"),
        (SQUARE, {"shape": "(0, -4, 2, 2, -2)"}, r"shape \(0, -4, 2, 2, -2\)"),
        (SQUARE, {"shape": "()", "target_shape": "(0, 9)"}, "target_shape in place of shape"),
        (mx.sym.Pad(DATA, mode="edge", pad_width=(0,) * 8), {"pad_width": "(0, 1)"}, "padding by"),
        (mx.sym.clip(DATA, 0, 1), {"a_max": "high"}, "a_max is 'high'; give a number"),
        (mx.sym.L2Normalization(vector()), {"mode": "channel"}, "mode channel of 2 axes"),
        (mx.sym.softmax(vector()), {"axis": "2"}, "axis 2 of 2"),
    ],
)
def test_options_that_make_no_sense_are_named(symbol, attributes, message):
    convert(as_written(symbol), SIZE)
    network = as_written(symbol, **attributes)
    with pytest.raises(ValueError, match=message):
        convert(network, SIZE)


def test_operands_that_mxnet_would_not_add():
    """ONNX would broadcast them."""
    small = mx.sym.mean(DATA, axis=1, keepdims=True)
    nodes = json.loads(mx.sym.broadcast_add(DATA, small).tojson())
    for operator in ("elemwise_add", "_maximum", "add_n"):
        nodes["nodes"][-1]["op"] = operator
        graph = parse_graph(json.dumps(nodes), "s")
        with pytest.raises(ValueError, match="operands of different shapes, .*cannot be exported"):
            convert(StoredNetwork(graph, {}), SIZE)


@pytest.mark.parametrize("name", CASES)
def test_an_option_that_no_handler_reads_is_refused(name):
    network = stored(CASES[name], *random_parameters(CASES[name], np.random.default_rng(3)))
    for index, node in enumerate(network.graph.nodes):
        if node.is_variable:
            continue
        nodes = list(network.graph.nodes)
        nodes[index] = dataclasses.replace(node, texts=node.texts | {"mystery": "1"})
        changed = dataclasses.replace(network.graph, nodes=tuple(nodes))
        with pytest.raises(ValueError, match=f"{node.operator} .*: the option mystery cannot be"):
            convert(StoredNetwork(changed, network.parameters), SIZE)


def test_options_that_say_how_and_not_what_are_left_aside():
    symbol = conv()
    network = as_written(symbol, __lr_mult__="2", cudnn_off="True", workspace="9")
    assert convert(network, SIZE).graph == convert(as_written(symbol), SIZE).graph


WRONG = {
    "conv_grouped": ("weight", (6, 1, 3, 3)), "dense": ("weight", (6, 297)),
    "dense_no_bias": ("weight", (6, 297)), "batch_norm": ("gamma", (3,)),
    "prelu": ("gamma", (4,)), "conv": ("bias", (4,)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_parameters_of_another_shape_are_named(name):
    kind, right = WRONG[name]
    args, states = random_parameters(CASES[name], np.random.default_rng(3))
    (parameter,) = [key for key in args if key.endswith(kind)]
    args[parameter] = mx.nd.ones((right[0] + 1, *right[1:]))
    message = re.escape(f"{parameter} is {args[parameter].shape}, the symbol reads {right}")
    with pytest.raises(ValueError, match=f"for images of 9x11 .height x width.: {message}$"):
        convert(stored(CASES[name], args, states), SIZE)


def test_all_wrong_parameters_are_named_together():
    symbol = mx.sym.BatchNorm(conv(), fix_gamma=False)
    args, states = random_parameters(symbol, np.random.default_rng(3))
    wrong = {name: mx.nd.ones((9,)) for name in [*args][:2]}
    with pytest.raises(ValueError, match=r"weight is \(9,\), .*; .*bias is \(9,\), "):
        convert(stored(symbol, {**args, **wrong}, states), SIZE)


def test_huge_sizes_cost_no_memory():
    network = as_written(mx.sym.BatchNorm(conv(), fix_gamma=False))
    nodes = [
        dataclasses.replace(node, texts=node.texts | {"num_filter": "2000000000"})
        if node.operator == "Convolution"
        else node
        for node in network.graph.nodes
    ]
    huge = dataclasses.replace(network.graph, nodes=tuple(nodes))
    with pytest.raises(ValueError, match=r"the symbol reads \(2000000000, 3, 3, 3\)"):
        convert(StoredNetwork(huge, network.parameters), SIZE)


def test_one_slope_for_all_channels():
    symbol = mx.sym.LeakyReLU(DATA - 120, act_type="prelu", name="p")
    network = stored(symbol, {"p_gamma": mx.nd.array([0.3])}, {})
    session = onnxruntime.InferenceSession(
        convert(network, SIZE).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    data = np.random.default_rng(0).uniform(0, 255, (2, 3, *SIZE)).astype(np.float32)
    (actual,) = session.run(None, {"data": data})
    np.testing.assert_allclose(actual, np.where(data < 120, 0.3, 1) * (data - 120), rtol=1e-5)


def test_a_parameter_that_two_layers_read_differently():
    """fix_gamma takes gamma as 1 for one layer and leaves it to the other."""
    gamma = mx.sym.Variable("g_gamma")
    one = mx.sym.BatchNorm(DATA, gamma, fix_gamma=True, name="one")
    symbol = mx.sym.BatchNorm(one, gamma, fix_gamma=False, name="two")
    expected, actual, model = both(symbol, 2)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)
    assert [n.op_type for n in model.graph.node].count("BatchNormalization") == 2

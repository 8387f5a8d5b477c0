"""Every operator that the export knows gives in onnxruntime what it gives in MXNet."""

import json

from arcface_mxnet.export.conversion import to_onnx
from arcface_mxnet.export.operators import OPERATORS
from arcface_mxnet.export.parity import run_mxnet
import mxnet as mx
import numpy as np
import onnxruntime
import pytest

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
    "dense": vector(),
    "dense_no_bias": mx.sym.FullyConnected(DATA, num_hidden=6, no_bias=True),
    "dense_on_dense": mx.sym.FullyConnected(vector(), num_hidden=2),
    "batch_norm": mx.sym.BatchNorm(DATA, fix_gamma=False, eps=2e-5),
    "batch_norm_fixed_gamma": mx.sym.BatchNorm(DATA),
    "batch_norm_folded": mx.sym.BatchNorm(conv(pad=(1, 1), no_bias=True), fix_gamma=False),
    "batch_norm_folded_bias": mx.sym.BatchNorm(conv(pad=(1, 1)), fix_gamma=True),
    "batch_norm_folded_grouped": mx.sym.BatchNorm(conv(num_filter=6, num_group=3), fix_gamma=False),
    "batch_norm_dense": mx.sym.BatchNorm(vector(), fix_gamma=True, eps=2e-5),
    "prelu": mx.sym.LeakyReLU(conv(), act_type="prelu"),
    "prelu_vector": mx.sym.LeakyReLU(vector(), act_type="prelu"),
    "leaky": mx.sym.LeakyReLU(DATA - 120, act_type="leaky", slope=0.1),
    "elu": mx.sym.LeakyReLU(DATA * 0.01 - 1, act_type="elu", slope=0.3),
    "relu": mx.sym.Activation(conv(), act_type="relu"),
    "sigmoid": mx.sym.Activation(DATA * 0.01 - 1, act_type="sigmoid"),
    "tanh": mx.sym.Activation(DATA * 0.01 - 1, act_type="tanh"),
    "softrelu": mx.sym.Activation(DATA * 0.01 - 1, act_type="softrelu"),
    "softsign": mx.sym.Activation(DATA - 120, act_type="softsign"),
    "max_pool": mx.sym.Pooling(DATA, kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type="max"),
    "max_pool_full": mx.sym.Pooling(
        DATA, kernel=(2, 2), stride=(2, 2), pool_type="max", pooling_convention="full"
    ),
    "avg_pool": mx.sym.Pooling(DATA, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg"),
    "avg_pool_full": mx.sym.Pooling(
        DATA, kernel=(2, 2), stride=(2, 2), pool_type="avg", pooling_convention="full"
    ),
    "avg_pool_inside": mx.sym.Pooling(
        DATA, kernel=(3, 3), pad=(1, 1), pool_type="avg", count_include_pad=False
    ),
    "global_avg_pool": mx.sym.Pooling(DATA, global_pool=True, kernel=(1, 1), pool_type="avg"),
    "global_max_pool": mx.sym.Pooling(DATA, global_pool=True, kernel=(1, 1), pool_type="max"),
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
    "norm": mx.sym.norm(DATA, axis=1, keepdims=True),
    "reduce_exclude": mx.sym.sum(DATA, axis=(0, 1), exclude=True),
    "reduce_min": mx.sym.min(DATA, axis=-1),
    "square": mx.sym.square(DATA * 0.01),
    "exp_abs_negative": mx.sym.exp(mx.sym.negative(mx.sym.abs(DATA * 0.01 - 1))),
    "clip": mx.sym.clip(DATA, 30, 90),
    "concat": mx.sym.concat(DATA, conv(kernel=(1, 1)), dim=1),
    "split": mx.sym.add_n(*mx.sym.SliceChannel(DATA, num_outputs=3)),
    "split_squeezed": mx.sym.add_n(*mx.sym.SliceChannel(DATA, num_outputs=3, squeeze_axis=True)),
    "slice_axis": mx.sym.slice_axis(DATA, axis=2, begin=1, end=None)
    - mx.sym.slice_axis(DATA, axis=2, begin=0, end=-1),
    "slice": mx.sym.slice(DATA, begin=(None, 1, 0), end=(None, None, -2)),
    "slice_like": mx.sym.slice_like(DATA, conv(kernel=(3, 3)), axes=(2, 3)),
    "transpose": mx.sym.transpose(DATA, axes=(0, 2, 3, 1)),
    "swap_axis": mx.sym.SwapAxis(DATA, dim1=1, dim2=3),
    "reshape": mx.sym.reshape(DATA, shape=(0, -1, 9)),
    "reshape_to_rows": mx.sym.reshape(DATA, shape=(-1, 11)),
    "expand_dims": mx.sym.expand_dims(DATA, axis=2),
    "pad": mx.sym.Pad(DATA, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 0), constant_value=7),
    "pad_edge": mx.sym.Pad(DATA, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "l2_instance": mx.sym.L2Normalization(DATA, mode="instance"),
    "l2_channel": mx.sym.L2Normalization(DATA, mode="channel", eps=1e-3),
    "l2_spatial": mx.sym.L2Normalization(DATA, mode="spatial"),
    "softmax": mx.sym.softmax(DATA * 0.01, axis=1),
    "softmax_activation": mx.sym.SoftmaxActivation(vector(DATA * 0.01)),
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


def both(symbol, batch, **options):
    rng = np.random.default_rng(3)
    data = rng.uniform(0, 255, (batch, 3, *SIZE)).astype(np.float32)
    arg_params, aux_params = random_parameters(symbol, rng)
    model = to_onnx(symbol, arg_params, aux_params, SIZE, **options)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (actual,) = session.run(None, {"data": data})
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
    assert set(OPERATORS) - used == {"amp_cast"}  # a Cast by another name


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
        (mx.sym.slice(DATA, begin=(0, 0), end=(1, 3), step=(1, 2)), "step other than 1"),
        (mx.sym.BatchNorm(DATA, axis=3), "over another axis"),
    ],
)
def test_what_cannot_be_exported_is_said(symbol, message):
    with pytest.raises(ValueError, match=message):
        both(symbol, 1)

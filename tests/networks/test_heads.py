"""Heads: names, shapes, and the embedding each computes."""

import json

import arcface_mxnet  # noqa: F401  (makes MXNet importable)
from arcface_mxnet.networks import NetworkOptions
from arcface_mxnet.networks.heads import HEADS, add_head
import mxnet as mx
import numpy as np
import pytest

CHANNELS, SIZE = 8, 4  # channels of the feature map; embedding size
OWN_SIZE = {"A": CHANNELS, "AX": CHANNELS, "Z": CHANNELS * 49}

NORM = ["gamma", "beta"]
PARAMETERS = {
    "E": "bn1_gamma bn1_beta pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
    "F": "bn1_gamma bn1_beta fc1_weight fc1_bias",
    "G": "bn1_gamma bn1_beta fc1_weight fc1_bias",
    "H": "fc1_weight fc1_bias",
    "I": "bn1_gamma bn1_beta pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
    "J": "pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
    "A": "bn1_gamma bn1_beta relu1_gamma",
    "B": "bn1_gamma bn1_beta relu1_gamma pre_fc1_weight pre_fc1_bias",
    "C": "bn1_gamma bn1_beta relu1_gamma pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
    "D": "bn1_gamma bn1_beta relu1_gamma pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta "
    "fc1_relu_gamma",
    "Z": "bn1_gamma bn1_beta",
    "GDC": "conv_6dw7_7_conv2d_weight conv_6dw7_7_batchnorm_gamma conv_6dw7_7_batchnorm_beta "
    "pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
    "GNAP": "bn6f_gamma bn6f_beta bn6w_gamma bn6w_beta pre_fc1_weight pre_fc1_bias "
    "fc1_gamma fc1_beta",
    "SFC": "bn1_gamma bn1_beta convf_weight bnf_gamma bnf_beta reluf_gamma convf2_weight "
    "bnf2_gamma bnf2_beta reluf2_gamma pre_fc1_weight pre_fc1_bias fc1_gamma fc1_beta",
}
PARAMETERS["FC"] = PARAMETERS["I"]
PARAMETERS["GAP"] = PARAMETERS["C"]
for letter in "ABCD":
    PARAMETERS[letter + "X"] = PARAMETERS[letter]


def head(name, emb_size=None, channels=CHANNELS, **options):
    emb_size = OWN_SIZE.get(name, SIZE) if emb_size is None else emb_size
    body = mx.sym.Variable("body")
    return add_head(body, NetworkOptions(emb_size=emb_size, output=name, **options), channels)


def bound(symbol, body, seed=0):
    """Return the executor of symbol with random parameters on the feature map body."""
    executor = symbol.simple_bind(mx.cpu(), body=body.shape, grad_req="null")
    rng = np.random.RandomState(seed)
    for name, array in {**executor.arg_dict, **executor.aux_dict}.items():
        # variances are positive
        array[:] = body if name == "body" else rng.uniform(0.5, 1.5, array.shape)
    return executor


def features(seed=1, batch=3):
    return np.random.RandomState(seed).normal(size=(batch, CHANNELS, 7, 7)).astype(np.float32)


def embedding(symbol, body):
    return bound(symbol, body).forward(is_train=False)[0].asnumpy()


def test_every_head_is_here():
    assert sorted(PARAMETERS) == sorted(HEADS.names())
    assert len(HEADS) == 20


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_and_shape(name):
    symbol = head(name)
    arguments = [argument for argument in symbol.list_arguments() if argument != "body"]
    assert arguments == PARAMETERS[name].split()
    assert symbol.list_outputs() == ["fc1_output"]
    assert symbol.infer_shape(body=(3, CHANNELS, 7, 7))[1] == [(3, OWN_SIZE.get(name, SIZE))]


@pytest.mark.parametrize("name", PARAMETERS)
def test_embedding_survives_cutting_at_fc1_output(name):
    """What consumers do: get_internals()["fc1_output"]."""
    symbol, body = head(name), features()
    cut = mx.sym.load_json(symbol.tojson()).get_internals()["fc1_output"]
    np.testing.assert_array_equal(embedding(cut, body), embedding(symbol, body))


@pytest.mark.parametrize("name", [n for n in PARAMETERS if n not in ("GNAP",)])
def test_embedding_of_a_picture_ignores_the_rest_of_the_batch(name):
    body = features()
    alone = embedding(head(name), body[:1])
    np.testing.assert_allclose(embedding(head(name), body)[:1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("E", 0.4), ("F", 0.4), ("Z", 0.4), ("AX", 0.2), ("BX", 0.2), ("CX", 0.2), ("DX", 0.2)],
)
def test_dropout(name, rate):
    nodes = json.loads(head(name).tojson())["nodes"]
    found = [float(node["attrs"]["p"]) for node in nodes if node["op"] == "Dropout"]
    assert found == [rate]


def test_no_dropout_elsewhere():
    for name in ("G", "H", "I", "J", "A", "B", "C", "D", "GAP", "GDC", "GNAP", "SFC"):
        assert '"Dropout"' not in head(name).tojson()


def normed(x, params, name, eps, fix_gamma=False):
    """BatchNorm with saved statistics on axis 1."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    get = {k: params[f"{name}_{k}"].reshape(shape) for k in (*NORM, "moving_mean", "moving_var")}
    gamma = 1 if fix_gamma else get["gamma"]
    return (x - get["moving_mean"]) / np.sqrt(get["moving_var"] + eps) * gamma + get["beta"]


def prelu(x, slope):
    return np.where(x > 0, x, x * slope.reshape((1, -1) + (1,) * (x.ndim - 2)))


def computed(name, **more):
    """Return (embedding, parameters as float64, feature map as float64) of a head."""
    body = features()
    executor = bound(head(name, **more), body)
    out = executor.forward(is_train=False)[0].asnumpy()
    params = {
        k: v.asnumpy().astype(np.float64)
        for k, v in {**executor.arg_dict, **executor.aux_dict}.items()
    }
    return out, params, body.astype(np.float64)


def test_e_by_formula():
    out, p, x = computed("E")
    flat = normed(x, p, "bn1", 2e-5).reshape(len(x), -1)
    dense = flat @ p["pre_fc1_weight"].T + p["pre_fc1_bias"]
    np.testing.assert_allclose(out, normed(dense, p, "fc1", 2e-5, True), rtol=1e-4, atol=1e-3)


def test_d_by_formula():
    """The activation is the embedding, and its slope is fc1_relu_gamma."""
    out, p, x = computed("D")
    pooled = prelu(normed(x, p, "bn1", 2e-5), p["relu1_gamma"]).mean(axis=(2, 3))
    dense = pooled @ p["pre_fc1_weight"].T + p["pre_fc1_bias"]
    want = prelu(normed(dense, p, "fc1", 2e-5, True), p["fc1_relu_gamma"])
    np.testing.assert_allclose(out, want, rtol=1e-4, atol=1e-4)
    assert (head("D", act="relu").list_arguments())[-1] == "fc1_beta"


def test_d_starts_with_the_slope_of_a_quarter():
    attributes = head("D").attr_dict()
    assert attributes["fc1_relu_gamma"]["__init__"] == '["constant", {"value": 0.25}]'


def test_gdc_by_formula():
    out, p, x = computed("GDC")
    places = np.einsum("nchw,chw->nc", x, p["conv_6dw7_7_conv2d_weight"][:, 0])
    places = normed(places, p, "conv_6dw7_7_batchnorm", 1e-3)
    dense = places @ p["pre_fc1_weight"].T + p["pre_fc1_bias"]
    np.testing.assert_allclose(out, normed(dense, p, "fc1", 2e-5, True), rtol=1e-4, atol=1e-4)


def gnap_pooled(x, p):
    x = normed(x, p, "bn6f", 1e-3, True)
    norms = np.sqrt((x * x).sum(axis=1, keepdims=True))
    return (x * norms.mean() / norms).mean(axis=(2, 3))


@pytest.mark.parametrize("emb_size", [SIZE, CHANNELS, 2 * CHANNELS])
def test_gnap_by_formula(emb_size):
    out, p, x = computed("GNAP", emb_size=emb_size)
    if emb_size > CHANNELS:
        wide = np.einsum("nchw,fc->nfhw", x, p["convx_weight"][:, :, 0, 0])
        x = prelu(normed(wide, p, "convx_bn", 2e-5), p["convx_relu_gamma"])
    want = gnap_pooled(x, p)
    if emb_size < CHANNELS:
        want = normed(want, p, "bn6w", 1e-3, True) @ p["pre_fc1_weight"].T + p["pre_fc1_bias"]
    np.testing.assert_allclose(out, normed(want, p, "fc1", 2e-5, True), rtol=1e-4, atol=1e-3)


def test_sizes_that_a_head_cannot_give():
    with pytest.raises(ValueError, match="head AX has no layer .* gives 8, not 4"):
        head("AX", emb_size=4)
    with pytest.raises(ValueError, match="head Z has no layer .* gives 392, not 4"):
        head("Z", emb_size=4)
    with pytest.raises(ValueError, match="head Z .* gives 128, not 4"):
        head("Z", emb_size=4, input=0)

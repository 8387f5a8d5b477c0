"""Stored networks: read without MXNet, one fingerprint for one network, clear errors."""

import dataclasses
import json
from pathlib import Path
import subprocess
import sys

from arcface_mxnet.checkpoints.embedding_part import load_slim
from arcface_mxnet.checkpoints.graph import to_json
from arcface_mxnet.checkpoints.load import load_checkpoint, save_checkpoint
from arcface_mxnet.checkpoints.network import (
    StoredNetwork,
    checkpoint_fingerprint,
    file_fingerprint,
    model_fingerprint,
    read_network,
    read_whole,
)
from arcface_mxnet.checkpoints.params import read_params, write_params
from arcface_mxnet.training.half import half_precision
import mxnet as mx
import numpy as np
import pytest


def small_network(data=None, emb_size=4, eps=2e-5):
    data = mx.sym.Variable("data") if data is None else data
    body = mx.sym.Convolution(data, kernel=(3, 3), num_filter=5, num_group=1, name="conv0")
    body = mx.sym.BatchNorm(body, fix_gamma=False, eps=eps, name="bn0")
    return mx.sym.FullyConnected(body, num_hidden=emb_size, name="fc1")


def random_parameters(symbol):
    shapes, _, state_shapes = symbol.infer_shape(data=(1, 3, 8, 8))
    rng = np.random.default_rng(0)

    def drawn(names, sizes):
        return {
            name: mx.nd.array(rng.uniform(0.5, 1.5, size))
            for name, size in zip(names, sizes, strict=True)
            if name not in ("data", "softmax_label")
        }

    return drawn(symbol.list_arguments(), shapes), drawn(
        symbol.list_auxiliary_states(), state_shapes
    )


@pytest.fixture
def training(tmp_path):
    """Return "prefix,number" of a network with a classifier after it."""
    logits = mx.sym.FullyConnected(small_network(), num_hidden=7, no_bias=True, name="fc7")
    symbol = mx.sym.SoftmaxOutput(logits, name="softmax")
    save_checkpoint(str(tmp_path / "m"), 3, symbol, *random_parameters(symbol))
    return f"{tmp_path / 'm'},3"


def changed(checkpoint, change, symbol=None):
    """Return another checkpoint of which change(arrays) has changed the parameters."""
    prefix = checkpoint.rpartition(",")[0]
    arrays = read_params(f"{prefix}-0003.params")
    change(arrays)
    write_params(f"{prefix}x-0000.params", arrays)
    text = Path(f"{prefix}-symbol.json").read_text() if symbol is None else symbol.tojson()
    Path(f"{prefix}x-symbol.json").write_text(text)
    return f"{prefix}x,0"


def test_what_is_read_is_what_the_embedding_needs(training):
    network = read_network(training)
    symbol, arg_params, aux_params = load_slim(training)
    expected = {**arg_params, **aux_params}
    assert set(network.parameters) == set(expected)
    for name, value in network.parameters.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected[name].asnumpy())
    assert network.graph.output_names() == symbol.list_outputs() == ["fc1_output"]


def test_slim_and_training_checkpoint_have_one_fingerprint(training, tmp_path):
    save_checkpoint(str(tmp_path / "slim"), 0, *load_slim(training))
    objects = StoredNetwork.of(*load_checkpoint(training))
    fingerprint = read_network(training).fingerprint
    assert len(fingerprint) == 64 and int(fingerprint, 16)
    assert {
        objects.fingerprint,
        checkpoint_fingerprint(f"{tmp_path}/slim,0"),
        model_fingerprint(training),
    } == {fingerprint}


def test_the_fingerprint_stays_what_it_is():
    """It stands in reports: another number here makes every old one a stranger's."""
    symbol = small_network()
    rng = np.random.RandomState(0)
    args, states = (
        {name: rng.randint(0, 9, value.shape).astype(np.float32) for name, value in kind.items()}
        for kind in random_parameters(symbol)
    )
    fingerprint = StoredNetwork.of(symbol, args, states).fingerprint
    assert fingerprint == "3a464eb2b1edc8ed91376974be13c3a36eaac1e05a23704cceadf332687c9cd3"


def test_what_is_only_for_training_leaves_the_fingerprint(training):
    def add(arrays):
        arrays["arg:fc7_weight"] = arrays["arg:fc7_weight"] * 2
        arrays["arg:another"] = np.ones(3, np.float32)

    with mx.AttrScope(__lr_mult__="3"):
        data = mx.sym.Variable("data")
    conv = mx.sym.Convolution(
        data, kernel=(3, 3), num_filter=5, num_group=1, name="conv0", workspace=77
    )
    norm = mx.sym.BatchNorm(conv, fix_gamma=False, eps=2e-5, name="bn0", cudnn_off=True)
    symbol = mx.sym.FullyConnected(norm, num_hidden=4, name="fc1")
    original = read_network(training).fingerprint
    assert read_network(changed(training, add)).fingerprint == original
    assert read_network(changed(training, lambda arrays: None, symbol)).fingerprint == original


def flip_a_bit(arrays):
    arrays["arg:fc1_weight"].view(np.uint32)[0, 0] ^= 1


def transpose(arrays):
    arrays["arg:conv0_weight"] = arrays["arg:conv0_weight"].reshape(3, 5, 3, 3)


def swap(arrays):
    arrays["arg:bn0_gamma"], arrays["arg:bn0_beta"] = (
        arrays["arg:bn0_beta"],
        arrays["arg:bn0_gamma"],
    )


@pytest.mark.parametrize(
    ("change", "symbol"),
    [
        (flip_a_bit, None),
        (transpose, None),
        (swap, None),
        (lambda arrays: None, small_network(eps=1e-3)),
        (lambda arrays: None, small_network(data=mx.sym.Variable("data") - 127.5)),
    ],
    ids=["bit", "shape", "swap", "option", "operator"],
)
def test_whatever_changes_the_network_changes_the_fingerprint(training, change, symbol):
    other = changed(training, change, symbol)
    assert read_network(other).fingerprint != read_network(training).fingerprint


def test_half_precision_checkpoints_are_single_precision_networks(tmp_path):
    def build(data):
        return small_network(data)

    symbol = half_precision(build)
    args, states = random_parameters(build(mx.sym.Variable("data")))
    half = {name: value.astype("float16") for name, value in args.items()}
    save_checkpoint(str(tmp_path / "h"), 1, symbol, half, states)
    network = read_network(f"{tmp_path}/h,1")
    plain = {name: value.astype("float32") for name, value in half.items()}
    expected = StoredNetwork.of(build(mx.sym.Variable("data")), plain, states)
    assert network.fingerprint == expected.fingerprint
    types, outputs, _ = mx.sym.load_json(to_json(network.graph)).infer_type(data="float32")
    assert {*types, *outputs} == {np.float32}


def test_whole_networks_keep_their_outputs_and_lose_their_labels(tmp_path):
    body = small_network()
    softmax = mx.sym.SoftmaxOutput(
        mx.sym.FullyConnected(body, num_hidden=2, name="cls"), name="prob"
    )
    symbol = mx.sym.Group([mx.sym.FullyConnected(body, num_hidden=4, name="box"), softmax])
    args, states = random_parameters(symbol)
    save_checkpoint(str(tmp_path / "det"), 1, symbol, args, states)
    network = read_whole(f"{tmp_path}/det,1")
    assert network.graph.output_names() == ["box_output", "prob_output"]
    assert "prob_label" not in network.graph.variables()
    assert set(network.parameters) == {*args, *states} - {"prob_label"}


def test_fingerprints_of_files(training, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_fingerprint(path) == model_fingerprint(str(path)) == known
    with pytest.raises(FileNotFoundError, match=r"model .*absent\.onnx': no file"):
        model_fingerprint(f"{tmp_path}/absent.onnx")
    with pytest.raises(FileNotFoundError, match="numbers there: 3"):
        model_fingerprint(training.replace(",3", ",4"))


def drop(name):
    def change(arrays):
        del arrays[name]

    return change


def as_integers(arrays):
    arrays["arg:fc1_bias"] = arrays["arg:fc1_bias"].astype(np.int32)


def to_other_kind(arrays):
    arrays["arg:bn0_moving_mean"] = arrays.pop("aux:bn0_moving_mean")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("arg:fc1_weight"), "the parameters lack fc1_weight, which the symbol reads: the"),
        (to_other_kind, "the parameters lack bn0_moving_mean, which"),
        (lambda arrays: arrays.clear(), "lack conv0_weight, conv0_bias, .* and 3 more, which"),
        (
            as_integers,
            "symbol.json: parameter fc1_bias is int32 in .*; a network's are floats",
        ),
    ],
)
def test_parameters_that_do_not_fit(training, change, message):
    with pytest.raises(ValueError, match=message):
        read_network(changed(training, change))


def test_missing_files(training, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"m-0004.params; numbers there: 3"):
        read_network(training.replace(",3", ",4"))
    with pytest.raises(ValueError, match="give PREFIX,NUMBER"):
        read_network("m")
    (tmp_path / "m-symbol.json").unlink()
    with pytest.raises(FileNotFoundError, match="no symbol file .*m-symbol.json beside the para"):
        read_network(training)


def test_a_symbol_without_embedding(training):
    other = changed(training, lambda arrays: None, mx.sym.relu(mx.sym.Variable("data"), name="r"))
    with pytest.raises(ValueError, match="mx-symbol.json: no output 'fc1_output' .* in r_output"):
        read_network(other)


def test_networks_are_values(training):
    network = read_network(training)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.graph = None
    assert json.loads(to_json(network.graph))["heads"]


def test_reading_needs_no_mxnet(training):
    code = (
        "import sys\n"
        "from arcface_mxnet.checkpoints.network import model_fingerprint\n"
        "print(model_fingerprint(sys.argv[1]))\n"
        "assert 'mxnet' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", code, training], capture_output=True, text=True)
    assert run.stdout.strip() == read_network(training).fingerprint, run.stderr


def test_the_published_checkpoint_is_read(shared_data):
    network = read_network(f"{shared_data / 'published_y1' / 'model'},0")
    assert network.graph.version == 10000
    assert len(network.parameters) == 284
    assert sum(value.size for value in network.parameters.values()) == 1_022_848


def test_parameters_that_the_symbol_does_not_read_are_told_of(tmp_path, caplog):
    """As where a symbol was written over by that of a shallower network."""
    data = mx.sym.Variable("data")
    symbol = mx.sym.FullyConnected(data, num_hidden=2, no_bias=True, name="fc1")
    params = {"fc1_weight": mx.nd.ones((2, 4)), "fc7_weight": mx.nd.ones((9, 2))}
    save_checkpoint(str(tmp_path / "slim"), 1, symbol, params, {})
    read_network(f"{tmp_path}/slim,1")
    assert not caplog.messages
    params |= {"stage1_unit3_conv1_weight": mx.nd.ones((2, 2))}
    save_checkpoint(str(tmp_path / "deep"), 1, symbol, params, {"bn_moving_var": mx.nd.ones((2,))})
    read_network(f"{tmp_path}/deep,1")
    (told,) = caplog.messages
    assert "does not read 2 of its parameters, such as bn_moving_var" in told

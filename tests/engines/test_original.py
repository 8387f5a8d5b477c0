"""An export that is not folded gives back the network that it was made of, to the bit."""

import json

from arcface_mxnet.checkpoints.graph import to_json
from arcface_mxnet.checkpoints.network import StoredNetwork, computes_the_same, read_network
from arcface_mxnet.engines.conversion import convert, to_onnx
from arcface_mxnet.engines.original import original_network
import mxnet as mx
import numpy as np
import onnx
import pytest

SIZE = (9, 11)


@pytest.fixture(scope="module")
def network():
    """Return a network with all that a graph of ONNX does not hold as MXNet has it."""
    slopes = mx.sym.var("slopes_gamma")  # (C,) here, (C, 1, 1) there, and read twice
    body = mx.sym.Convolution(mx.sym.var("data") - 127.5, kernel=(3, 3), num_filter=4, name="conv")
    body = mx.sym.LeakyReLU(body, slopes, act_type="prelu")
    body = mx.sym.LeakyReLU(-body, slopes, act_type="prelu")
    body = mx.sym.Dropout(mx.sym.BatchNorm(body, fix_gamma=False, name="bn"), p=0.4)
    body = mx.sym.FullyConnected(body, num_hidden=8, name="pre_fc1")
    symbol = mx.sym.BatchNorm(body, fix_gamma=True, momentum=0.9, eps=2e-5, name="fc1")
    shapes, _, states = symbol.infer_shape(data=(1, 3, *SIZE))
    rng = np.random.default_rng(0)

    def drawn(names, sizes):
        return {n: mx.nd.array(rng.uniform(0.5, 1.5, s)) for n, s in zip(names, sizes, strict=True)}

    args = drawn(symbol.list_arguments(), shapes)
    del args["data"]
    return StoredNetwork.of(symbol, args, drawn(symbol.list_auxiliary_states(), states))


@pytest.fixture
def model(network):
    return onnx.load_from_string(convert(network, SIZE, fold=False).SerializeToString())


def test_symbol_and_parameters_come_back_to_the_bit(network, model):
    again = original_network(model, "a file")
    assert to_json(again.graph) == to_json(network.graph)
    assert computes_the_same(again.graph, network.graph)
    assert again.parameters.keys() == network.parameters.keys()
    for name, value in network.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], value)
    assert again.fingerprint == network.fingerprint
    (dropout,) = [node for node in again.graph.nodes if node.operator == "Dropout"]
    assert dropout.get("p", 0) == 0.4  # which no node of the model says


def test_a_folded_export_claims_no_original(network):
    assert original_network(convert(network, SIZE), "a file") is None


def test_a_network_of_the_recipe(checkpoint):
    network = read_network(checkpoint)
    model = convert(network, fold=False)
    assert original_network(model, "a file").fingerprint == network.fingerprint
    facts = {entry.key: entry.value for entry in model.metadata_props}
    places = json.loads(facts["parameters"])
    assert {name: place[0] for name, place in places.items() if len(place) == 2} == {
        name: name for name in network.parameters if name != "fc1_gamma"
    }


def set_fact(model, key, value):
    (entry,) = [entry for entry in model.metadata_props if entry.key == key]
    entry.value = value


def test_changes_after_the_export_are_seen(model):
    (weight,) = [t for t in model.graph.initializer if t.name == "conv_weight"]
    value = onnx.numpy_helper.to_array(weight).copy()
    value[0, 0, 0, 0] += 1
    weight.raw_data = value.tobytes()
    with pytest.raises(ValueError, match="a.onnx: its symbol and weights have the fingerprint .*"):
        original_network(model, "a.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: places.pop("conv_bias"), "do not fit the file .*conv_bias"),
        (lambda places: places.update(conv_bias=["gone", [4]]), "do not fit the file .*gone"),
        (lambda places: places.update(conv_bias=["conv_bias", [5]]), r"float32 \(4,\) for \(5,\)"),
        (lambda places: places.update(conv_bias=["conv_bias", "4"]), "do not fit the file"),
        (lambda places: places.update(fc1_gamma=["AAAA", [8], "values"]), "do not fit the file"),
        (lambda places: places.update(fc1_gamma=[7, [8], "values"]), "do not fit the file"),
    ],
)
def test_damaged_metadata_are_refused(model, change, message):
    (entry,) = [entry for entry in model.metadata_props if entry.key == "parameters"]
    places = json.loads(entry.value)
    change(places)
    set_fact(model, "parameters", json.dumps(places))
    with pytest.raises(ValueError, match=message):
        original_network(model, "a.onnx")
    set_fact(model, "parameters", "{")
    with pytest.raises(ValueError, match="a.onnx: its metadata 'parameters' do not fit the file"):
        original_network(model, "a.onnx")
    set_fact(model, "symbol", "{}")
    with pytest.raises(ValueError, match="a.onnx, metadata 'symbol': not a symbol that MXNet can"):
        original_network(model, "a.onnx")


def test_the_file_names_its_maker(initialised):
    model = to_onnx(*initialised("y1", (112, 112), emb_size=8, output="GDC"))
    assert model.producer_name == "arcface_mxnet" and model.producer_version

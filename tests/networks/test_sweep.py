"""Every registered network: ends in fc1, has its golden size, builds the same twice."""

import json
from pathlib import Path

from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.networks.cost import network_cost
import pytest

GOLDEN = json.loads((Path(__file__).parent / "golden" / "costs.json").read_text())


def test_the_sweep_is_complete():
    assert NETWORKS.names() == list(GOLDEN)


@pytest.mark.parametrize("name", NETWORKS.names())
def test_network(name):
    options = NETWORKS[name].published
    symbol = build_network(name, options)
    cost = network_cost(symbol)
    assert symbol.list_outputs() == ["fc1_output"]
    assert symbol.get_internals().list_outputs().count("fc1_output") == 1
    assert symbol.infer_shape(data=(2, 3, 112, 112))[1] == [(2, options.emb_size)]
    assert [cost.parameters, cost.multiply_adds] == GOLDEN[name]
    assert build_network(name, options).tojson() == symbol.tojson()


@pytest.mark.parametrize("name", NETWORKS.names())
def test_default_options_build(name):
    """--network NAME alone is enough."""
    symbol = build_network(name, NetworkOptions(emb_size=64))
    assert symbol.infer_shape(data=(2, 3, 112, 112))[1] == [(2, 64)]


@pytest.mark.parametrize("name", NETWORKS.names())
def test_every_node_has_its_own_name(name):
    nodes = json.loads(build_network(name, NETWORKS[name].published).tojson())["nodes"]
    names = [node["name"] for node in nodes]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", NETWORKS.names())
def test_activation_option_reaches_the_graph(name):
    """Networks that say they use `act` change with it; the others refuse it."""
    relu = NetworkOptions(act="relu")
    if "act" in NETWORKS[name].uses:
        assert "prelu" not in build_network(name, relu).tojson()
    else:
        with pytest.raises(ValueError, match="has no option act 'relu'"):
            build_network(name, relu)

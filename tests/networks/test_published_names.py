"""Parameter names and shapes as published.

golden/parameters.json holds, for twelve networks, the number of parameters and the SHA-256 of
the list "name(shape) ... | name(shape) ...": arguments, a bar, auxiliary states, in graph order.
"""

import hashlib
import json
from pathlib import Path
import re

from arcface_mxnet.networks import NetworkOptions, build_network
from arcface_mxnet.networks.cost import network_cost
import pytest

GOLDEN = json.loads((Path(__file__).parent / "golden" / "parameters.json").read_text())
FULL_LISTS = Path(__file__).parents[3] / "shared" / "spec" / "parameters.md"


def symbol_of(entry):
    options = NetworkOptions(emb_size=entry["emb_size"], output=entry["output"])
    return build_network(entry["network"], options)


def listing(symbol):
    """Return every parameter as name(shape), and a bar before the auxiliary states."""
    arguments, _, states = symbol.infer_shape(data=(2, 3, 112, 112))

    def texts(names, shapes):
        pairs = zip(names, shapes, strict=True)
        return [f"{n}({','.join(map(str, s))})" for n, s in pairs if n != "data"]

    return [
        *texts(symbol.list_arguments(), arguments),
        "|",
        *texts(symbol.list_auxiliary_states(), states),
    ]


def digest(items):
    return hashlib.sha256(" ".join(items).rstrip().encode()).hexdigest()


@pytest.mark.parametrize("key", GOLDEN)
def test_names_and_shapes(key):
    entry = GOLDEN[key]
    symbol = symbol_of(entry)
    assert network_cost(symbol).parameters == entry["parameters"]
    assert digest(listing(symbol)) == entry["sha256"]


def test_twelve_networks_are_pinned():
    assert len(GOLDEN) == 12


def test_full_lists():
    """Name by name where the complete lists are at hand: says which one differs."""
    if not FULL_LISTS.is_file():
        pytest.skip(f"complete parameter lists are absent: no file {FULL_LISTS}")
    sections = re.findall(
        r"## (.*?): [\d,]+ parameters\n(.*?)(?=\n## |\Z)", FULL_LISTS.read_text(), re.S
    )
    assert len(sections) == len(GOLDEN)
    for key, text in sections:
        assert listing(symbol_of(GOLDEN[key])) == text.split(), key

"""Symbols: read as MXNet reads them, whatever year wrote them; what is no symbol is named."""

import ctypes
import json
import re

from arcface_mxnet.checkpoints.aliases import CANONICAL
from arcface_mxnet.checkpoints.graph import (
    Entry,
    embedding_part,
    parse_graph,
    read_graph,
    to_json,
    without_casts,
    without_labels,
)
from arcface_mxnet.checkpoints.nodes import attribute_value
from arcface_mxnet.engines import shape_operators  # noqa: F401  (registers its operators)
from arcface_mxnet.engines.operators import OPERATORS
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
import mxnet as mx
from mxnet.base import _LIB, check_call, py_str
import numpy as np
import pytest

DATA = mx.sym.Variable("data")


def graph_of(symbol):
    return parse_graph(symbol.tojson(), "s")


def shapes_and_names(symbol):
    return symbol.list_arguments(), symbol.list_auxiliary_states(), symbol.list_outputs()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(2L, 1L)", (2, 1)), ("[2,1]", (2, 1)), ("(3,)", (3,)), ("()", ()), ("3", 3), ("7L", 7),
        ("-1", -1), ("1e-05", 1e-5), ("2.", 2.0), (".5", 0.5), ("true", True), ("False", False),
        ("None", None), ("(None, 2)", (None, 2)), ("valid", "valid"), ("(2", "(2"), ("", ""),
        ('["zero", {}]', '["zero", {}]'), ("(a, 2)", "(a, 2)"), ("1_000", "1_000"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_values_of_every_writer(text, value):
    read = attribute_value(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    ["__import__('os').abort()", "{[]: 1}", "(" * 20_000, "-" * 200_000 + "1", "9" * 5000],
    ids=["call", "unhashable", "nested", "deep", "long"],
)
def test_what_is_no_value_stays_text(text):
    """Attributes of a symbol are foreign text: nothing in them runs or crashes."""
    assert attribute_value(text) == text


def test_every_network_is_read_as_mxnet_reads_it():
    """Names, kinds and outputs of all variables; and what is written, MXNet reads the same."""
    for name in NETWORKS:
        symbol = build_network(name, NetworkOptions(emb_size=8))
        graph = graph_of(symbol)
        arguments, states, outputs = shapes_and_names(symbol)
        assert [v for v in graph.variables() if v not in graph.states()] == arguments
        assert [v for v in graph.variables() if v in graph.states()] == states
        assert graph.output_names() == outputs
        back = mx.sym.load_json(to_json(graph))
        assert json.loads(back.tojson()) == json.loads(symbol.tojson())
    assert len(NETWORKS) >= 40


# The same layers as MXNet of 2015 and of 2018 wrote them.
LAYERS = [
    ("null", "data", {}, []),
    ("null", "w", {"lr_mult": "2.0"}, []),
    ("Convolution", "c", {"kernel": "(3,3)", "num_filter": "4", "no_bias": "True"}, [0, 1]),
    ("null", "n_gamma", {}, []),
    ("null", "n_beta", {}, []),
    ("BatchNorm", "n", {"eps": "0.001", "fix_gamma": "True", "momentum": "0.9"}, [2, 3, 4]),
    ("Flatten", "f", {}, [5]),
]
STATES = [("null", "n_moving_mean", {}, []), ("null", "n_moving_var", {}, [])]


def file_of_2015():
    nodes = [
        {
            "op": operator,
            "param": {} if operator == "null" else options,
            "name": name,
            "inputs": [[i, 0] for i in inputs],
            "backward_source_id": -1,
            **({"attr": options} if operator == "null" else {}),
        }
        for operator, name, options, inputs in LAYERS
    ]
    return json.dumps({"nodes": nodes, "arg_nodes": [0, 1, 3, 4], "heads": [[6, 0]]})


def file_of_2018():
    layers = [*LAYERS[:5], *STATES, *LAYERS[5:]]
    nodes = [
        {
            "op": operator,
            "name": name,
            "attr": options,
            "inputs": [[i, 0, 0] for i in ({5: [2, 3, 4, 5, 6], 6: [7]}.get(old, inputs))],
        }
        for old, (operator, name, options, inputs) in zip(
            [0, 1, 2, 3, 4, None, None, 5, 6], layers, strict=True
        )
    ]
    return json.dumps(
        {
            "nodes": nodes,
            "arg_nodes": [0, 1, 3, 4, 5, 6],
            "heads": [[8, 0, 0]],
            "attrs": {"mxnet_version": ["int", 10000]},
        }
    )


@pytest.mark.parametrize("text", [file_of_2015(), file_of_2018()], ids=["2015", "2018"])
def test_old_files(text):
    """What was not listed in 2015, the running statistics, has the names that MXNet gives it."""
    symbol = mx.sym.load_json(text)
    for graph in (parse_graph(text, "s"), parse_graph(to_json(parse_graph(text, "s")), "s")):
        assert graph.variables() == [
            "data", "w", "n_gamma", "n_beta", "n_moving_mean", "n_moving_var"
        ]  # fmt: skip
        assert graph.states() == {*symbol.list_auxiliary_states()}
        assert [node.operator for node in graph.nodes][-2:] == ["BatchNorm", "Flatten"]
        assert graph.output_names() == symbol.list_outputs()
        assert graph.nodes[1].texts == {"__lr_mult__": "2.0"}
    back = mx.sym.load_json(to_json(graph))
    assert shapes_and_names(back) == shapes_and_names(symbol)


def test_running_statistics_are_not_made_up_for_newer_files():
    """Since MXNet 0.9 they are listed; a file without them is no BatchNorm that MXNet takes."""
    text = json.loads(file_of_2015())
    text["attrs"] = {"mxnet_version": ["int", 900]}
    assert "n_moving_mean" not in parse_graph(json.dumps(text), "s").variables()
    text["attrs"] = {"mxnet_version": ["int", 899]}
    assert "n_moving_mean" in parse_graph(json.dumps(text), "s").variables()


@pytest.mark.parametrize("version", [None, 904, 905, 10901])
def test_the_last_axis_of_an_old_argmax_meant_all(version):
    written = json.loads(mx.sym.argmax(mx.sym.Variable("data"), axis=-1, name="m").tojson())
    written.pop("attrs")
    if version:
        written["attrs"] = {"mxnet_version": ["int", version]}
    text = json.dumps(written)
    _, (wanted,), _ = mx.sym.load_json(text).infer_shape(data=(3, 5))
    graph = parse_graph(text, "s")
    assert graph.nodes[-1].texts == ({} if wanted == (1,) else {"axis": "-1"})
    assert mx.sym.load_json(to_json(graph)).infer_shape(data=(3, 5))[1] == [wanted]


def test_old_names_of_operators():
    """Every alias that MXNet has for an operator that is converted is known, and no other."""

    def handle(name):
        found = ctypes.c_void_p()
        check_call(_LIB.NNGetOpHandle(name.encode(), ctypes.byref(found)))
        return found.value

    count, names = ctypes.c_uint(), ctypes.POINTER(ctypes.c_char_p)()
    check_call(_LIB.MXListAllOpNames(ctypes.byref(count), ctypes.byref(names)))
    canonical = {handle(name): name for name in [*OPERATORS, *CANONICAL.values()]}
    aliases = {}
    for name in (py_str(names[i]) for i in range(count.value)):
        if (same := canonical.get(handle(name), name)) != name:
            aliases[name] = same
    assert aliases == CANONICAL
    assert (
        parse_graph(json.dumps(written(node2={"op": "identity"})), "s").nodes[-1].operator
        == "_copy"
    )


def test_the_embedding_part():
    body = mx.sym.FullyConnected(DATA, num_hidden=4, name="fc1")
    logits = mx.sym.FullyConnected(body, num_hidden=7, name="fc7")
    symbol = mx.sym.SoftmaxOutput(logits, name="softmax")
    part = embedding_part(graph_of(symbol))
    assert part.output_names() == ["fc1_output"]
    assert part.variables() == ["data", "fc1_weight", "fc1_bias"]
    assert part == graph_of(body)
    with pytest.raises(ValueError, match="s: no output 'fc1_output' .*ends in fc7_output: not"):
        embedding_part(graph_of(mx.sym.FullyConnected(DATA, num_hidden=4, name="fc7")))
    twice = mx.sym.Group([body, mx.sym.relu(DATA, name="fc1")])
    with pytest.raises(ValueError, match="2 outputs are called 'fc1_output'"):
        embedding_part(graph_of(twice))


def test_the_order_of_the_file_plays_no_part():
    """A part is in one order, however the nodes of the whole were sorted."""
    one, other = mx.sym.relu(DATA, name="one"), mx.sym.sqrt(DATA, name="other")
    total = mx.sym.elemwise_add(one, other, name="fc1")
    first, second = mx.sym.Group([total, other]), mx.sym.Group([other, total])
    assert graph_of(first).nodes != graph_of(second).nodes
    assert embedding_part(graph_of(first)) == embedding_part(graph_of(second))


def test_casts_between_floats_are_left_out():
    half = mx.sym.Cast(DATA, dtype="float16", name="down")
    weight = mx.sym.Variable("w", dtype="float16", lr_mult=2)
    body = mx.sym.FullyConnected(half, weight, no_bias=True, num_hidden=4, name="fc")
    wide = mx.sym.amp_cast(mx.sym.relu(body, name="r"), dtype="float32", name="fc1")
    graph = without_casts(graph_of(mx.sym.Group([wide, mx.sym.Cast(wide, dtype="float64")])))
    operators = [node.operator for node in graph.nodes if not node.is_variable]
    assert operators == ["FullyConnected", "relu", "_copy", "_copy"]
    assert graph.output_names()[0] == "fc1_output"
    (weight,) = [node for node in graph.nodes if node.name == "w"]
    assert weight.texts == {"__lr_mult__": "2"}
    symbol = mx.sym.load_json(to_json(graph))
    types, outputs, _ = symbol.infer_type(data="float32")
    assert {*types, *outputs} == {np.float32}


def test_amp_multicast_is_left_out():
    both = mx.sym.amp_multicast(mx.sym.relu(DATA, name="a"), mx.sym.sqrt(DATA, name="b"),
                                num_outputs=2)  # fmt: skip
    graph = without_casts(graph_of(mx.sym.elemwise_sub(both[0], both[1], name="d")))
    assert [node.name for node in graph.nodes] == ["data", "a", "b", "d"]
    assert graph.nodes[3].inputs == (Entry(1, 0), Entry(2, 0))


def test_casts_to_whole_numbers_are_refused():
    symbol = mx.sym.Cast(DATA, dtype="int32", name="rounded") * 1.5
    with pytest.raises(ValueError, match="Cast 'rounded' casts to 'int32'; a network of floats"):
        without_casts(graph_of(symbol))


@pytest.mark.parametrize(
    ("options", "shape"),
    [({}, (2, 5)), ({"multi_output": True}, (2, 3, 4, 5)),
     ({"preserve_shape": True}, (2, 3, 4, 5)), ({"multi_output": True}, (2, 5))],
)  # fmt: skip
def test_softmax_layers_with_a_label(options, shape):
    """They compute without a label what MXNet computes with one."""
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    symbol = mx.sym.SoftmaxOutput(DATA, name="prob", **options)
    labels = symbol.infer_shape(data=shape)[0][1]
    old = symbol.bind(mx.cpu(), {"data": mx.nd.array(data), "prob_label": mx.nd.zeros(labels)})
    graph = without_labels(graph_of(symbol))
    assert graph.variables() == ["data"] and graph.output_names() == ["prob_output"]
    new = mx.sym.load_json(to_json(graph)).bind(mx.cpu(), {"data": mx.nd.array(data)})
    np.testing.assert_allclose(
        new.forward()[0].asnumpy(), old.forward(is_train=False)[0].asnumpy(), rtol=1e-6, atol=1e-7
    )


def written(**changes):
    """Return a small graph as a file holds it, with changes to nodes ("node0") or the whole."""
    graph = {
        "nodes": [
            {"op": "null", "name": "data", "inputs": []},
            {"op": "SliceChannel", "name": "s", "attrs": {"num_outputs": "2"},
             "inputs": [[0, 0, 0]]},
            {"op": "relu", "name": "r", "inputs": [[1, 1, 0]]},
        ],
        "arg_nodes": [0],
        "node_row_ptr": [0, 1, 3, 4],
        "heads": [[2, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }  # fmt: skip
    for key, value in changes.items():
        if key.startswith("node") and key[4:].isdigit():
            graph["nodes"][int(key[4:])] |= value
        else:
            graph[key] = value
    return graph


FAULTS = {
    "not_an_object": ([], "the file is not an object"),
    "no_nodes": ({"arg_nodes": [], "heads": []}, "the file lacks nodes"),
    "other_field": (written(more=1), "the file has 'more', which is not known"),
    "subgraphs": (written(node2={"subgraphs": []}), "node 2 has 'subgraphs', which is not known"),
    "nodes": (written(nodes={}), "nodes is not a list"),
    "node": (written(nodes=[1], node_row_ptr=[0, 1]), "node 0 is not an object"),
    "op": (written(node2={"op": 1}), "node 2's op is not text"),
    "name": (written(node2={"name": None}), "node 2's name is not text"),
    "surrogate": (written(node2={"name": "\ud800"}), "node 2's name is not Unicode text"),
    "inputs": (written(node2={"inputs": 5}), r"node 2 \(relu 'r'\): inputs is not a list"),
    "attrs": (written(node2={"attrs": []}), r"node 2 \(relu 'r'\): attrs is not an object"),
    "attribute": (written(node2={"attrs": {"a": 1}}), "attrs is not text"),
    "entry": (written(node2={"inputs": [[0]]}), r"an input is not \[node, output, version\]"),
    "float": (written(node2={"inputs": [[1.0, 0, 0]]}), "an input is not"),
    "bool": (written(node2={"inputs": [[True, 0, 0]]}), "an input is not"),
    "negative": (written(node2={"inputs": [[-1, 0, 0]]}), "an input is not"),
    "forward": (written(node1={"inputs": [[2, 0, 0]]}), "is node 2, which is not among the 1 bef"),
    "itself": (written(node1={"inputs": [[1, 0, 0]]}), "is node 1, which is not among the 1 befo"),
    "output": (written(node2={"inputs": [[1, 2, 0]]}), "is output 2 of 's', which has 2"),
    "variable_output": (written(node1={"inputs": [[0, 1, 0]]}), "output 1 of 'data', which has 1"),
    "head": (written(heads=[[3, 0, 0]]), "a head is node 3, which is not among the 3 before it"),
    "no_heads": (written(heads=[]), "it has no heads, so nothing comes out"),
    "head_output": (written(heads=[[2, 1, 0]]), "a head is output 1 of 'r', which has 1"),
    "arg_nodes": (written(arg_nodes=[3]), "arg_nodes holds 3, which is no variable"),
    "arg_operator": (written(arg_nodes=[1]), "arg_nodes holds 1, which is no variable"),
    "rows": (written(node_row_ptr=[0, 1]), "node_row_ptr is not 4 ascending numbers"),
    "rows_fall": (written(node_row_ptr=[0, 3, 1, 4]), "node_row_ptr is not 4 ascending numbers"),
    "version": (written(attrs={"mxnet_version": 1}), r'mxnet_version is not \["int", number\]'),
    "no_outputs": (
        written(node1={"attrs": {"num_outputs": "0"}}),
        "num_outputs is '0', not one",
    ),
    "groups": (written(node2={"attrs": {"num_group": "0"}}), r"num_group is '0', not one of 1\.\."),
    "long": (written(node2={"name": "n" * 2000}), "name has more than 1024 characters"),
    **{
        f"{name} {text}": (
            written(node2={"attrs": {name: text}}),
            f"{name} is {re.escape(repr(text))}",
        )
        for name, texts in {
            "kernel": ("(0, 0)", "(3,)x", "(3, -1)", "None", "(100000, 1)", "0"),
            "stride": ("(0, 1)", "0", "(1.5, 1)"),
            "dilate": ("(2147483647, 2147483647)", "(0, 0)"),
            "pad": ("(-1, 0)", "nan"),
            "num_filter": ("0", "-1", "(8, 8)", "99999999999999999999", ""),
            "num_hidden": ("1e308", "inf"),
            "num_args": ("0",),
            "axis": ("2147483647",),
            "shape": ("(-5, 2)", "0", "(1, 9999999999)", "abc"),
        }.items()
        for text in texts
    },
    "empty slice": (
        written(node2={"op": "slice", "attrs": {"begin": "(None, 1)", "end": "(None, 1)"}}),
        "leaves nothing from 1 to 1",
    ),
    "two things": (
        written(node2={"param": {"slope": "1"}, "attrs": {"slope": "2"}}),
        "'slope' two things",
    ),
    "variable_inputs": (written(node2={"op": "null"}), "is a variable and has inputs"),
    "waits": (written(node2={"control_deps": [0]}), "waits for other nodes"),
    "same_name": (
        written(node2={"op": "null", "name": "data", "inputs": []}, heads=[[0, 0, 0]]),
        "two variables are called 'data'",
    ),
}


def test_the_graph_that_the_faults_start_from_is_sound():
    text = json.dumps(written())
    assert parse_graph(text, "s").output_names() == ["r_output"]
    assert mx.sym.load_json(text).list_outputs() == ["r_output"]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault):
    graph, message = FAULTS[fault]
    with pytest.raises(ValueError, match=f"^f: not a symbol that MXNet can read: .*{message}"):
        parse_graph(json.dumps(graph), "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("{", "Expecting property name"),
        (b"\xff{}", "byte 0 is no UTF-8"),
        ('{"nodes": [], "nodes": []}', "an object names one of 'nodes' twice"),
        ('{"nodes": ' + "9" * 5000 + "}", "."),
    ],
    ids=["lists", "objects", "cut", "bytes", "twice", "digits"],
)
def test_what_is_no_json_is_named(text, message):
    with pytest.raises(ValueError, match=f"^f: not a symbol that MXNet can read: .*{message}"):
        parse_graph(text, "f")


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel": "(3, 3)", "stride": "(2L, 2L)", "pad": "(0, 0)", "num_filter": "64"},
        {"kernel": "[7]", "dilate": "(1,)", "num_group": "512"},
        {"axis": "None"}, {"axis": "(1, -1)"}, {"axes": "()"},
        {"shape": "(0, -1, -4, 2, 3)"}, {"shape": "()"}, {"num_hidden": "10000000"},
        {"begin": "(None, -2)", "end": "(3, None)"}, {"scale": "64.0"},
    ],
)  # fmt: skip
def test_attributes_that_networks_have_are_taken(attributes):
    assert parse_graph(json.dumps(written(node2={"attrs": attributes})), "f").nodes


def test_flipped_bytes_give_a_graph_or_a_message():
    """Whatever is read can be cut, freed of casts and written again."""
    symbol = mx.sym.Cast(mx.sym.SliceChannel(DATA, num_outputs=2)[1], dtype="float32", name="fc1")
    data = json.dumps(json.loads(symbol.tojson())).encode()
    rng, graphs = np.random.default_rng(0), 0
    for place, byte in zip(rng.integers(len(data), size=20_000), rng.bytes(20_000), strict=True):
        flipped = bytearray(data)
        flipped[place] = byte
        try:
            graph = parse_graph(bytes(flipped), "f")
            to_json(without_casts(embedding_part(graph)))
            graphs += 1
        except ValueError as error:
            assert str(error).startswith("f: ")
    assert 1_000 < graphs < 19_000


def test_files(tmp_path):
    path = tmp_path / "m-symbol.json"
    with pytest.raises(FileNotFoundError, match="no symbol file .*m-symbol.json beside the para"):
        read_graph(path)
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(written()).encode())  # as Windows editors save
    assert read_graph(path).source == str(path)
    path.write_text(json.dumps(written(heads=[])))
    with pytest.raises(ValueError, match="^.*m-symbol.json: not a symbol that MXNet can read: it"):
        read_graph(path)

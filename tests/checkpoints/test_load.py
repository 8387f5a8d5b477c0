"""Checkpoints as MXNet's objects: what MXNet wrote, what it reads, clear errors."""

import json

from arcface_mxnet.checkpoints.graph import read_graph
from arcface_mxnet.checkpoints.load import (
    as_symbol,
    load_checkpoint,
    load_symbol,
    save_checkpoint,
    save_symbol,
)
from arcface_mxnet.checkpoints.network import read_network
from arcface_mxnet.checkpoints.params import write_params
import mxnet as mx
import numpy as np
import pytest


def small_symbol():
    return mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")


def test_mxnet_loads_ours_and_ignores_other_kinds(tmp_path):
    prefix = str(tmp_path / "m")
    params = {"fc_weight": mx.nd.ones((2, 3)), "fc_bias": mx.nd.zeros((2,), dtype="float16")}
    save_checkpoint(prefix, 7, small_symbol(), params, {})
    symbol, arg_params, aux_params = mx.model.load_checkpoint(prefix, 7)
    assert symbol.list_arguments() == ["data", "fc_weight", "fc_bias"]
    assert sorted(arg_params) == ["fc_bias", "fc_weight"]
    assert aux_params == {}
    ours = load_checkpoint(f"{prefix},7")[1]
    assert {name: value.dtype for name, value in ours.items()} == {
        "fc_weight": np.float32, "fc_bias": np.float16
    }  # fmt: skip
    np.testing.assert_array_equal(ours["fc_weight"].asnumpy(), np.ones((2, 3)))


def test_numbers_are_listed_when_one_is_missing(tmp_path):
    prefix = str(tmp_path / "m")
    for number in (1, 12):
        save_checkpoint(prefix, number, small_symbol(), {}, {})
    with pytest.raises(FileNotFoundError, match=r"m-0003\.params; numbers there: 1, 12"):
        load_checkpoint(f"{prefix},3")


def test_missing_symbol(tmp_path):
    write_params(tmp_path / "m-0001.params", {"arg:w": np.ones(3, np.float32)})
    with pytest.raises(FileNotFoundError, match="no symbol file"):
        load_checkpoint(f"{tmp_path}/m,1")
    (tmp_path / "m-symbol.json").write_text("{")
    with pytest.raises(ValueError, match="not a symbol"):
        load_checkpoint(f"{tmp_path}/m,1")


def changed(tmp_path, symbol, change):
    """Return the path of a symbol file after change(graph)."""
    graph = json.loads(symbol.tojson())
    change(graph)
    (tmp_path / "m-symbol.json").write_text(json.dumps(graph))
    return str(tmp_path / "m-symbol.json")


def test_an_output_that_does_not_exist(tmp_path):
    """MXNet reads such a symbol and ends the process when it is asked for its shapes."""
    halves = mx.sym.SliceChannel(mx.sym.Variable("data"), num_outputs=2, name="halves")

    def far(graph):
        graph["nodes"][-1]["inputs"][0][1] = 50

    path = changed(tmp_path, mx.sym.relu(halves[0]), far)
    with pytest.raises(ValueError, match="output 50 of 'halves', which has 2"):
        load_symbol(path)

    def unknown_count(graph):  # MXNet alone knows how many outputs a Dropout has
        graph["nodes"][-1]["inputs"][0][1] = 50
        del graph["node_row_ptr"]

    path = changed(tmp_path, mx.sym.relu(mx.sym.Dropout(mx.sym.var("data"))), unknown_count)
    with pytest.raises(ValueError, match="output 50 of 'dropout.*' is read, which has 2"):
        load_symbol(path)


def test_an_operator_that_mxnet_does_not_know(tmp_path):
    def rename(graph):
        graph["nodes"][-1]["op"] = "Mystery"

    path = changed(tmp_path, small_symbol(), rename)
    reason = "m-symbol.json: not a symbol that MXNet can read: node '.*': MXNet .* no .* 'Mystery'"
    with pytest.raises(ValueError, match=reason):
        load_symbol(path)
    with pytest.raises(ValueError, match=reason):  # the way of an embedder
        as_symbol(read_graph(path))


def other_symbol(act="tanh"):
    data = mx.sym.Activation(mx.sym.Variable("data"), act_type=act)
    return mx.sym.FullyConnected(data, num_hidden=2, name="fc")


def test_a_symbol_that_other_checkpoints_need_is_not_replaced(tmp_path):
    prefix = str(tmp_path / "m")
    save_checkpoint(prefix, 1, small_symbol(), {}, {})
    message = "m-symbol.json: is of another network than the one to save, and m-0001.params need"
    for write in (
        lambda: save_checkpoint(prefix, 2, other_symbol(), {}, {}),
        lambda: save_symbol(prefix, other_symbol()),
    ):
        with pytest.raises(ValueError, match=message):
            write()
    assert load_symbol(f"{prefix}-symbol.json").tojson() == small_symbol().tojson()
    save_checkpoint(prefix, 1, other_symbol(), {}, {})  # the only one that needs it
    assert load_checkpoint(f"{prefix},1")[0].tojson() != small_symbol().tojson()


def test_a_damaged_symbol_is_no_reason_to_delete_checkpoints(tmp_path):
    prefix = str(tmp_path / "m")
    data = mx.sym.Variable("data")
    save_checkpoint(prefix, 1, data * 2, {}, {})
    (tmp_path / "m-symbol.json").write_text("{}")
    with pytest.raises(ValueError, match="m-symbol.json.*m-0001.params .* delete the symbol alone"):
        save_checkpoint(prefix, 2, data * 2, {}, {})
    (tmp_path / "m-symbol.json").unlink()
    save_checkpoint(prefix, 2, data * 2, {}, {})


def test_names_that_mxnet_numbers_are_no_other_network(tmp_path):
    prefix = str(tmp_path / "m")
    first, again = other_symbol(), other_symbol()
    assert first.tojson() != again.tojson()
    save_checkpoint(prefix, 1, first, {}, {})
    save_checkpoint(prefix, 2, again, {}, {})
    with pytest.raises(ValueError, match="of another network"):
        save_symbol(prefix, other_symbol("relu"))


def test_an_interrupted_checkpoint_is_refused_until_it_is_written_again(tmp_path):
    prefix = str(tmp_path / "m")
    save_checkpoint(prefix, 1, small_symbol(), {}, {})
    marker = {"files": ["m-symbol.json", "m-0001.params"], "command": "arcface-train --lr 1"}
    (tmp_path / "m-symbol.json.writing").write_text(json.dumps(marker) + "\n")
    for read in (load_checkpoint, read_network):
        with pytest.raises(ValueError, match="interrupted .*; run `arcface-train --lr 1` again"):
            read(f"{prefix},1")
    save_checkpoint(prefix, 1, small_symbol(), {}, {})
    assert load_checkpoint(f"{prefix},1")

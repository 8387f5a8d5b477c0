"""Checkpoints: byte-equal to MXNet's, complete or absent, clear errors."""

import errno

from arcface_mxnet.training import params_file
from arcface_mxnet.training.checkpoints import (
    checkpoint_numbers,
    load_checkpoint,
    save_checkpoint,
    split_checkpoint,
)
from arcface_mxnet.training.params_file import read_params, write_params
import mxnet as mx
import numpy as np
import pytest


@pytest.fixture
def arrays():
    rng = np.random.RandomState(0)
    return {
        "arg:w": mx.nd.array(rng.randn(3, 4, 1, 2)),
        "aux:m": mx.nd.array(rng.randn(5)),
        "arg:h": mx.nd.array(rng.randn(2, 2), dtype="float16"),
        "meta:x": mx.nd.array([1, 2, 255], dtype="uint8"),
    }


def small_symbol():
    return mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")


def test_bytes_equal_mxnet(tmp_path, arrays):
    mx.nd.save(str(tmp_path / "theirs"), arrays)
    write_params(tmp_path / "ours", arrays)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_round_trip(tmp_path, arrays):
    write_params(tmp_path / "p", {name: array.asnumpy() for name, array in arrays.items()})
    back = read_params(tmp_path / "p")
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name].asnumpy(), array.asnumpy())


def test_mxnet_loads_ours_and_ignores_other_kinds(tmp_path):
    prefix = str(tmp_path / "m")
    params = {"fc_weight": mx.nd.ones((2, 3)), "fc_bias": mx.nd.zeros((2,))}
    save_checkpoint(prefix, 7, small_symbol(), params, {})
    symbol, arg_params, aux_params = mx.model.load_checkpoint(prefix, 7)
    assert symbol.list_arguments() == ["data", "fc_weight", "fc_bias"]
    assert sorted(arg_params) == ["fc_bias", "fc_weight"]
    assert aux_params == {}
    assert sorted(load_checkpoint(f"{prefix},7")[1]) == ["fc_bias", "fc_weight"]


def test_numbers_are_listed_when_one_is_missing(tmp_path):
    prefix = str(tmp_path / "m")
    for number in (1, 12):
        save_checkpoint(prefix, number, small_symbol(), {}, {})
    assert checkpoint_numbers(prefix) == [1, 12]
    with pytest.raises(FileNotFoundError, match=r"m-0003\.params; numbers there: 1, 12"):
        load_checkpoint(f"{prefix},3")


@pytest.mark.parametrize("text", ["model", "model,", ",1", "model,one", "model,-1"])
def test_malformed_checkpoint(text):
    with pytest.raises(ValueError, match="give PREFIX,NUMBER"):
        split_checkpoint(text)


def test_prefix_may_hold_commas():
    assert split_checkpoint("a,b/m,2") == ("a,b/m", 2)
    assert split_checkpoint("m,last") == ("m", "last")


@pytest.mark.parametrize("keep", [0, 9, 30, 200])
def test_truncated(tmp_path, keep):
    write_params(tmp_path / "p", {"arg:w": np.ones((10, 10), np.float32)})
    (tmp_path / "p").write_bytes((tmp_path / "p").read_bytes()[:keep])
    with pytest.raises(ValueError, match="truncated or something else"):
        read_params(tmp_path / "p")


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    write_params(tmp_path / "p", {"arg:w": np.ones(3, np.float32)})
    before = (tmp_path / "p").read_bytes()

    def full(values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(params_file, "_array_header", full)
    with pytest.raises(OSError, match=r"No space left.*untouched"):
        write_params(tmp_path / "p", {"arg:w": np.zeros(3, np.float32)})
    assert (tmp_path / "p").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_missing_symbol(tmp_path):
    write_params(tmp_path / "m-0001.params", {"arg:w": np.ones(3, np.float32)})
    with pytest.raises(FileNotFoundError, match="no symbol file"):
        load_checkpoint(f"{tmp_path}/m,1")
    (tmp_path / "m-symbol.json").write_text("{")
    with pytest.raises(ValueError, match="not a symbol"):
        load_checkpoint(f"{tmp_path}/m,1")

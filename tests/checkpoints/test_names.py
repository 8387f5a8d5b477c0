"""Names of checkpoints and the numbers that exist."""

from arcface_mxnet.checkpoints.names import (
    checkpoint_numbers,
    existing_params,
    params_path,
    split_checkpoint,
)
import pytest


@pytest.mark.parametrize("text", ["model", "model,", ",1", "model,one", "model,-1", "m,²"])
def test_malformed_checkpoint(text):
    with pytest.raises(ValueError, match="give PREFIX,NUMBER"):
        split_checkpoint(text)


def test_prefix_may_hold_commas():
    assert split_checkpoint("a,b/m,2") == ("a,b/m", 2)
    assert split_checkpoint("m,last") == ("m", "last")


def test_numbers_are_listed_when_one_is_missing(tmp_path):
    prefix = str(tmp_path / "m")
    for number in (12, 1, "last", 10000):
        params_path(prefix, number).touch()
    (tmp_path / "m-1.params").touch()
    assert checkpoint_numbers(prefix) == [1, 12, 10000]
    assert existing_params(f"{prefix},12").name == "m-0012.params"
    with pytest.raises(FileNotFoundError, match=r"m-0003\.params; numbers there: 1, 12, 10000"):
        existing_params(f"{prefix},3")

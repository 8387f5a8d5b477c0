"""A dataset and runs on it that several tests look at; every run is a whole command."""

from itertools import count
from pathlib import Path

import pytest

# So that assertions in these files say what they compared, as those in tests do.
pytest.register_assert_rewrite("tests.end_to_end.results", "tests.end_to_end.updates")


@pytest.fixture(scope="session", autouse=True)
def tiny_network():
    """Have the network "tiny" of tests/training."""
    pytest.importorskip("mxnet")
    from arcface_mxnet.networks import NETWORKS

    from tests.training.conftest import enter_tiny

    with pytest.MonkeyPatch.context() as patch:
        enter_tiny(lambda name, entry: patch.setitem(NETWORKS._entries, name, entry))
        yield


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> Path:
    """Return a dataset folder with the pair sets held and other."""
    from tests.end_to_end.inputs import write_dataset

    return write_dataset(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="session")
def new_prefix(tmp_path_factory):
    """Return a function that returns a prefix in a folder of its own."""
    folder, numbers = tmp_path_factory.mktemp("runs"), count()
    return lambda: str(folder / f"{next(numbers):03d}" / "m")

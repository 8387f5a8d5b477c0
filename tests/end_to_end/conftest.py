"""A dataset and runs on it that several tests look at; every run is a whole command."""

from itertools import count
from pathlib import Path
import shutil

import pytest

# So that assertions in these files say what they compared, as those in tests do.
pytest.register_assert_rewrite("tests.end_to_end.results", "tests.end_to_end.updates")


@pytest.fixture(scope="module", autouse=True)
def tiny_network():
    """Have the network "tiny" of tests/training, but not in the tests of other folders."""
    pytest.importorskip("mxnet")
    from arcface_mxnet.networks import NETWORKS

    from tests.training.conftest import enter_tiny

    with pytest.MonkeyPatch.context() as patch:
        # Threads that wait for work cost more than these networks.
        patch.setenv("OMP_NUM_THREADS", "1")
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


@pytest.fixture(scope="session")
def softmax(faces, new_prefix):
    """Return a run of loss 0 that has learned a little; its checkpoint stands under number 50."""
    from tests.end_to_end.commands import train
    from tests.end_to_end.every_loss import command

    often = ["--max-steps", 40, "--verbose", 40, "--frequent", 40]
    run = train(command("0", faces, new_prefix(), "--ckpt", 2, *often))
    assert run.code == 0, run.said
    shutil.copy(f"{run.prefix}-0001.params", f"{run.prefix}-0050.params")
    return run

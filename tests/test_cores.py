"""How many threads MXNet computes with."""

import os
import subprocess
import sys

from arcface_mxnet import cores
from arcface_mxnet.cores import usable_cores
import pytest

TOLD = "import os, arcface_mxnet; print(os.environ['OMP_NUM_THREADS'])"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return the two paths that describe a machine of four processors in two cores."""
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    return tmp_path, tmp_path / "cpu.max"


def test_threads_of_a_core_count_once(machine):
    assert usable_cores(*machine) == 2


def test_processors_of_others_do_not_count(machine, monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 2})
    assert usable_cores(*machine) == 1


@pytest.mark.parametrize(
    "quota,wanted",
    [("max 100000", 2), ("50000 100000", 1), ("150000 100000", 2), ("900000 100000", 2), ("?", 2)],
)
def test_quota_of_a_container(machine, quota, wanted):
    machine[1].write_text(quota + "\n")
    assert usable_cores(*machine) == wanted


def test_processors_without_a_description_are_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert usable_cores(tmp_path, tmp_path / "cpu.max") == 3
    monkeypatch.delattr(cores.os, "sched_getaffinity")
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path, tmp_path / "cpu.max") == 6


@pytest.mark.parametrize("given", [None, "7"])
def test_mxnet_is_told_unless_the_user_has(given):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": given} if given else {}
    done = subprocess.run(
        [sys.executable, "-c", TOLD], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == (given or str(usable_cores()))

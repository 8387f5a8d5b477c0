"""Two machines, played by processes on this one, train what one would with the whole batch."""

from pathlib import Path
import signal
import sys
import time

from arcface_mxnet.checkpoints.last_state import load_last
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS
from arcface_mxnet.training.loop import train
import numpy as np
import pytest

from tests.training.jobs import TIMEOUT, job
from tests.training.networks import enter_networks
from tests.training.worker import config_of

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def plain(monkeypatch):
    enter_networks(lambda name, entry: monkeypatch.setitem(NETWORKS._entries, name, entry))


def test_two_workers_equal_one_process_with_the_whole_batch(jobs, plain, dataset_dir, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    ends = jobs.run(*[["worker", dataset_dir, together, 5, 4, "dist_sync"]] * 2)
    assert [code for code, _ in ends] == [0] * 4, ends
    train(config_of(dataset_dir, alone, 5, 8, "device"))
    left, right = (load_checkpoint(f"{prefix},last")[1] for prefix in (together, alone))
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_allclose(
            array.asnumpy(), right[name].asnumpy(), rtol=2e-5, atol=1e-6, err_msg=name
        )


def test_of_two_workers_one_makes_the_vectors_of_a_teacher(
    jobs, plain, options, dataset_dir, tmp_path
):
    large = options | {"prefix": str(tmp_path / "large"), "emb_size": 12}
    taught = f"teacher={train(TrainConfig(**large, max_steps=1)).checkpoint}"
    together, alone = tmp_path / "together", tmp_path / "alone"
    ends = jobs.run(*[["worker", dataset_dir, together, 5, 4, "dist_sync", taught]] * 2)
    assert [code for code, _ in ends] == [0] * 4, ends
    made = [said.count("teacher: made vectors of 24 images") for _, said in ends]
    assert sum(made) == 1, ends
    train(config_of(dataset_dir, alone, 5, 8, "device", taught))
    left, right = (load_checkpoint(f"{prefix},last")[1] for prefix in (together, alone))
    assert left.keys() == right.keys() and "teacher_map_weight" in left
    for name, array in left.items():
        np.testing.assert_allclose(
            array.asnumpy(), right[name].asnumpy(), rtol=2e-5, atol=1e-6, err_msg=name
        )


def test_a_signal_to_one_worker_ends_all_after_the_same_step(dataset_dir, tmp_path):
    prefix = tmp_path / "stopped"
    endless = [sys.executable, WORKER, dataset_dir, prefix, 100_000, 4, "dist_sync", "save"]
    with job(endless, endless) as (ends, processes):
        deadline = time.monotonic() + TIMEOUT
        while not Path(f"{prefix}-last.params").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGTERM)
    assert [code for code, _ in ends] == [0] * 4, ends
    assert 0 < load_last(str(prefix)).record["position"]["step"] < 100_000


def test_outside_a_job_it_says_how_to_start_one(options, monkeypatch):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    with pytest.raises(ValueError, match=r"DMLC_ROLE.*not set.*docs/distributed\.md"):
        train(TrainConfig(**options, kvstore="dist_sync"))

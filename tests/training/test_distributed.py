"""Two machines, played by processes on this one, train what one would with the whole batch."""

from contextlib import contextmanager
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

from arcface_mxnet.checkpoints.last_state import load_last
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.loop import train
import numpy as np
import pytest

WORKER = Path(__file__).with_name("worker.py")
TIMEOUT = 120  # seconds


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(role, port, *arguments):
    command = [sys.executable, "-c", "import arcface_mxnet, mxnet"]
    if role == "worker":
        command = [sys.executable, str(WORKER), *map(str, arguments)]
    environment = os.environ | {
        "DMLC_ROLE": role,
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": "2",
        "DMLC_NUM_SERVER": "1",
        "DMLC_INTERFACE": "lo",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@contextmanager
def two_workers(*arguments):
    """Start a job and yield its workers; all must end well by themselves."""
    port = free_port()
    jobs = [start("scheduler", port), start("server", port)]
    workers = [start("worker", port, *arguments) for _ in range(2)]
    try:
        yield workers
        for worker in workers:
            _, errors = worker.communicate(timeout=TIMEOUT)
            assert worker.returncode == 0, errors
        for job in jobs:
            job.communicate(timeout=TIMEOUT)
    finally:
        for job in jobs + workers:
            job.kill()


def test_two_workers_equal_one_process_with_the_whole_batch(dataset_dir, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    with two_workers(dataset_dir, together, 5, 4, "dist_sync"):
        pass
    command = [sys.executable, str(WORKER), str(dataset_dir), str(alone), "5", "8", "device"]
    subprocess.run(command, check=True, timeout=TIMEOUT, capture_output=True)
    left, right = (load_checkpoint(f"{prefix},last")[1] for prefix in (together, alone))
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_allclose(
            array.asnumpy(), right[name].asnumpy(), rtol=2e-5, atol=1e-6, err_msg=name
        )


def test_a_signal_to_one_worker_ends_all_after_the_same_step(dataset_dir, tmp_path):
    prefix = tmp_path / "stopped"
    with two_workers(dataset_dir, prefix, 100_000, 4, "dist_sync", "save") as workers:
        deadline = time.monotonic() + TIMEOUT
        while not Path(f"{prefix}-last.params").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        workers[1].send_signal(signal.SIGTERM)
    assert 0 < load_last(str(prefix)).record["position"]["step"] < 100_000


def test_outside_a_job_it_says_how_to_start_one(options, monkeypatch):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    with pytest.raises(ValueError, match=r"DMLC_ROLE.*not set.*docs/distributed\.md"):
        train(TrainConfig(**options, kvstore="dist_sync"))

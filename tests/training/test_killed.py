"""kill -9 at any moment leaves checkpoints that load."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import random
import signal
import subprocess
import sys
import time

from arcface_mxnet.checkpoints.last_state import load_last
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.checkpoints.names import checkpoint_numbers

WORKER = Path(__file__).with_name("worker.py")
MOMENTS = 6
PATIENCE = 60  # seconds until the first checkpoint must be there


def killed_run(dataset_dir, prefix, delay):
    """Start a run that saves after every step; kill it so many seconds after its first save."""
    command = [sys.executable, str(WORKER), str(dataset_dir), str(prefix), "100000", "4"]
    with subprocess.Popen([*command, "device", "save"], stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + PATIENCE
        while not Path(f"{prefix}-last.params").is_file() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
        run.send_signal(signal.SIGKILL)
    return run.returncode


def test_a_killed_run_leaves_what_loads(dataset_dir, tmp_path):
    moments = random.Random(0)
    prefixes = [tmp_path / f"run{number}" / "model" for number in range(MOMENTS)]
    delays = [moments.uniform(0, 0.2) for _ in prefixes]
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(killed_run, [dataset_dir] * MOMENTS, prefixes, delays))
    assert codes == [-signal.SIGKILL] * MOMENTS
    steps = []
    for prefix in prefixes:
        last = load_last(str(prefix))
        steps.append(last.record["position"]["step"])
        assert "mom:fc7_weight" in last.state
        for number in checkpoint_numbers(str(prefix)):
            assert load_checkpoint(f"{prefix},{number}")[1]["fc7_weight"].shape == (6, 8)
    assert len(set(steps)) > 1, "every run was killed at the same step"

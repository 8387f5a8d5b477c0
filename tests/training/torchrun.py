"""Jobs that torchrun starts on this computer."""

import os
from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).parents[2]
TIMEOUT = 150  # seconds


def start_job(count, *arguments, restarts=0, **environment):
    """Start so many processes of process.py; return the launcher."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--rdzv-backend", "loopback",
        "--nproc-per-node", str(count), "--max-restarts", str(restarts),
        str(Path(__file__).with_name("process.py")), *map(str, arguments),
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def run_job(count, *arguments, **options):
    """Return how a job ended: the exit code, and what was written to the terminal."""
    process = start_job(count, *arguments, **options)
    try:
        said, _ = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    return process.returncode, said

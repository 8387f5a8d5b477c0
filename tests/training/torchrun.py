"""Jobs that torchrun starts on this computer."""

import json
import os
from pathlib import Path
import subprocess
import sys

ROOT = Path(__file__).parents[2]
TIMEOUT = 300  # seconds; it takes a tenth of that on two free cores


def flags(**options):
    """Return options as arcface-train takes them; with name@RANK for that process alone."""
    texts = {k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in options.items()}
    return [
        f"--{name.replace('_', '-')}" + ("" if text is True else f"={text}")
        for name, text in texts.items()
    ]


def run_of(count, *faults, **options):
    """Return a run of so many processes, with a fault for each attempt, as process.py has it."""
    return {"count": count, "flags": flags(**options), "faults": faults}


def run_job(*runs, is_forked=False):
    """Make the runs; return how the job ended: the exit code, and what was written to the terminal.

    It is restarted as often as there are faults.  is_forked: by forked_torchrun.py, without MXNet.
    """
    count, faults = max(one["count"] for one in runs), sum(len(one["faults"]) for one in runs)
    if is_forked:
        command = [sys.executable, "-m", "tests.training.forked_torchrun"]
    else:
        command = [
            sys.executable, "-m", "torch.distributed.run", "--rdzv-backend", "loopback",
            "--nproc-per-node", str(count), "--max-restarts", str(faults),
            str(Path(__file__).with_name("process.py")),
        ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [*command, json.dumps(runs)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    try:
        said, _ = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    return process.returncode, said

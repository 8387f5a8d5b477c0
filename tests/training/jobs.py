"""Jobs of two machines, played by processes on this one."""

from __future__ import annotations

from contextlib import contextmanager
import os
from pathlib import Path
import socket
import subprocess
import sys

TIMEOUT = 120  # seconds
ROOT = Path(__file__).parents[2]
NODE = [sys.executable, "-m", "arcface_mxnet.training.node"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment_of(role, port):
    """Return what a process of a job with two workers and a server has in its environment."""
    return {
        "DMLC_ROLE": role,
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": "2",
        "DMLC_NUM_SERVER": "1",
        "DMLC_INTERFACE": "lo",
        "PS_HEARTBEAT_INTERVAL": "1",  # seconds that a process may take to leave
    }


def start(command, role, port):
    environment = os.environ | environment_of(role, port) | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    return subprocess.Popen(
        [*map(str, command)], env=environment, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip


@contextmanager
def job(*commands):
    """Yield an empty list of (exit code, what was logged), filled when the job has ended: of the
    two workers, in the order of their commands, then of the scheduler and the server.

    All must end by themselves.  Which of the workers has rank 0 is not known before.
    """
    port = free_port()
    processes = [start(command, "worker", port) for command in commands]
    processes += [start(NODE, role, port) for role in ("scheduler", "server")]
    ends = []
    try:
        yield ends, processes
        for process in processes:
            _, errors = process.communicate(timeout=TIMEOUT)
            ends.append((process.returncode, errors))
    finally:
        for process in processes:
            process.kill()

"""Jobs of two machines on this one, whose processes are forked from one that has imported MXNet.

To import it takes most of the time of a small job: four processes, two seconds each.  The children
are what the commands start otherwise, as tests/training/jobs.py has them: MXNet is made to be
forked, and its parameter server begins in the child.

    python -m tests.training.forked_jobs

reads a job from each line of stdin, a list of {"worker", "environment", "said"}, and answers with
the exit codes.  worker: the name of a module here and what its work() takes, null for a scheduler
or server.  said: the file for what is written to stderr.
"""

from importlib import import_module
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from tests.training.jobs import ROOT, TIMEOUT, environment_of, free_port


class Jobs:
    """Starts jobs, one after the other.  folder: for what their processes say."""

    def __init__(self, folder):
        self._folder, self._count = folder, 0
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.training.forked_jobs"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )  # fmt: skip

    def run(self, *workers, **environment):
        """Return (exit code, what was logged) of the two workers, in the order of what they are
        given, then of the scheduler and the server.

        All must end by themselves.  Which of the workers has rank 0 is not known before.
        """
        self._count += 1
        port, roles = free_port(), ["worker"] * len(workers) + ["scheduler", "server"]
        said = [self._folder / f"{self._count}-{number}" for number in range(len(roles))]
        job = [
            {
                "worker": worker and [str(word) for word in worker],
                "environment": environment_of(role, port) | environment,
                "said": str(path),
            }
            for worker, role, path in zip([*workers, None, None], roles, said, strict=True)
        ]
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        codes = json.loads(self._server.stdout.readline())
        return [(code, path.read_text()) for code, path in zip(codes, said, strict=True)]

    def close(self):
        self._server.stdin.close()
        self._server.wait(TIMEOUT)


def exit_codes(children):
    """Return how the processes ended; those that do not are killed when their time is up."""
    codes, until = {}, time.monotonic() + TIMEOUT
    while len(codes) < len(children):
        number, status = os.waitpid(-1, os.WNOHANG)
        if number:
            codes[number] = os.waitstatus_to_exitcode(status)
            continue
        if time.monotonic() > until:
            for child in children:
                if child not in codes:
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    return [codes[child] for child in children]


def play(worker, environment, said):
    """Be one process of a job; return the exit code."""
    from arcface_mxnet.training import node

    os.environ |= environment
    with Path(said).open("wb") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, sys.stdout.fileno())
    if worker is None:
        return node.main([])
    module, *words = worker
    return import_module(f"tests.training.{module}").work(*words)


def main():
    # What the processes would import.
    from arcface_mxnet.training import loop, on_mxnet, serving  # noqa: F401

    from tests.training import job_worker, worker  # noqa: F401

    for line in sys.stdin:
        children = []
        for process in json.loads(line):
            child = os.fork()
            if not child:
                return play(**process)
            children.append(child)
        print(json.dumps(exit_codes(children)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

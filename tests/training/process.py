"""One process of a job that torchrun starts, which makes several runs: process.py RUNS

RUNS: JSON, a list of {"count", "flags", "faults"}, made one after the other; each by so many of the
processes, the first.  A flag for one rank alone is written --wd@1=0.1.  faults: [NAME, RANK, STEP]
for each attempt of torchrun: raise, or kill, that rank when it begins that step.  What comes before
a run with faults is made in the first attempt alone.  With --train-symbol in all it does without
MXNet.
"""

from contextlib import contextmanager
import json
import os
import signal
import sys

from arcface_mxnet import train_softmax
from arcface_mxnet.training import run


def fail():
    raise ValueError("a fault of this test")


FAULTS = {"raise": fail, "kill": lambda: os.kill(os.getpid(), signal.SIGKILL)}


@contextmanager
def having(fault, rank, step):
    """Let the fault happen to this process during the block, if it is of that rank."""
    begin = run.Run.begin_step

    def begun(self):
        begin(self)
        if self.machines.rank == rank and self.position.step + 1 == step:
            FAULTS[fault]()

    run.Run.begin_step = begun
    yield
    run.Run.begin_step = begin


def main(runs):
    here, attempt = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    first = next((n for n, one in enumerate(runs) if one["faults"]), 0) if attempt else 0
    for number, one in enumerate(runs):
        if number < first or here >= one["count"]:
            continue
        size = str(one["count"])
        # The names of what the processes tell each other begin with the attempt.
        named = str(attempt * len(runs) + number)
        os.environ |= {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        os.environ["TORCHELASTIC_RESTART_COUNT"] = named
        fault = one["faults"][attempt] if attempt < len(one["faults"]) else ("", -1, 0)
        flags = [flag.replace(f"@{here}=", "=") for flag in one["flags"]]
        with having(*fault):
            code = train_softmax.main([flag for flag in flags if "@" not in flag])
        if code:
            return code
    return 0


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if not all(any("--train-symbol" in flag for flag in one["flags"]) for one in given):
        from tests.training.networks import enter_networks

        enter_networks()
    sys.exit(main(given))

"""One process of a job that torchrun starts: process.py FAULT RANK STEP FLAGS...

FAULT: none; raise or kill that rank when it begins that step, before torchrun has restarted it;
old: it has another protocol.  A flag for that rank alone is written --wd@1=0.1.  With
--train-symbol it does without MXNet.
"""

import os
import signal
import sys

from arcface_mxnet import train_softmax
from arcface_mxnet.training import run, world


def fail(error):
    raise error


FAULTS = {
    "raise": lambda: fail(ValueError("a fault of this test")),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def have(fault, step):
    """Let the fault happen to this process."""
    if fault == "old":
        world.PROTOCOL = 0
        return
    begin = run.Run.begin_step

    def begun(self):
        begin(self)
        if self.position.step + 1 == step:
            FAULTS[fault]()

    run.Run.begin_step = begun


if __name__ == "__main__":
    fault, rank, step, *flags = sys.argv[1:]
    here = os.environ["RANK"]
    if not any(flag.startswith("--train-symbol") for flag in flags):
        from tests.training.networks import enter_networks

        enter_networks()
    if here == rank and fault != "none" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        have(fault, int(step))
    mine = [flag.replace(f"@{here}=", "=") for flag in flags]
    sys.exit(train_softmax.main([flag for flag in mine if "@" not in flag]))

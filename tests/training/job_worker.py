"""A worker of a job that something happens to, in a process of its own.

fault: none, diverge, kill on rank 1; full-disk on rank 0; each when it makes that step.
"""

import errno
import os
import signal

from arcface_mxnet import train_softmax
from arcface_mxnet.training import agreement, recorder
from arcface_mxnet.training.mxnet_stepper import MxnetStepper

from tests.training.conftest import enter_tiny


def diverge(step):
    judge = MxnetStepper.first_bad_output

    def judged(self):
        self.judged = getattr(self, "judged", 0) + 1
        return "bad_output" if self.judged == step and self._kvstore.rank == 1 else judge(self)

    MxnetStepper.first_bad_output = judged


def kill(step):
    update = MxnetStepper.update

    def killed(self, lr):
        self.updates = getattr(self, "updates", 0) + 1
        if self.updates == step and self._kvstore.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        update(self, lr)

    MxnetStepper.update = killed


def full_disk(step):
    save = recorder.save_last

    def refused(prefix, last):
        if last.record["position"]["step"] == step:
            raise OSError(errno.ENOSPC, "No space left on device", f"{prefix}-last.params")
        save(prefix, last)

    recorder.save_last = refused


FAULTS = {"none": lambda step: None, "diverge": diverge, "kill": kill, "full-disk": full_disk}


def work(fault, step, *flags):
    """Train; return the exit code."""
    enter_tiny()
    agreement.SEEN_WITHIN = 0.2
    FAULTS[fault](int(step))
    return train_softmax.main(flags)

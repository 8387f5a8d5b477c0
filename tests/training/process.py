"""One process of a job that torchrun starts: process.py FAULT RANK STEP FLAGS...

FAULT: none; raise, kill or stop that rank when it begins that step; old: it has another version.
"""

import os
import signal
import sys

from arcface_mxnet import train_softmax
from arcface_mxnet.networks import NETWORKS, Network
from arcface_mxnet.training import run, world
import mxnet as mx

from tests.training.worker import build_plain


def build_dry(options):
    """A network with batch statistics, without dropout, which every process draws for itself."""
    net = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(
        net, num_filter=8, kernel=(3, 3), stride=(2, 2), no_bias=True, name="conv0"
    )
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu0")
    net = mx.sym.FullyConnected(net, num_hidden=options.emb_size, no_bias=True, name="pre_fc1")
    return mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")


def enter_networks(enter=NETWORKS._entries.__setitem__):
    for name, build in (("plain", build_plain), ("dry", build_dry)):
        enter(name, Network(build, mx.init.Xavier, frozenset({"emb_size"})))


def fail(error):
    raise error


FAULTS = {
    "raise": lambda: fail(ValueError("a fault of this test")),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
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
    enter_networks()
    fault, rank, step, *flags = sys.argv[1:]
    if os.environ.get("RANK") == rank and fault != "none":
        have(fault, int(step))
    # A flag with @ in it is for that rank alone: --wd@1=0.1
    mine = [f.replace(f"@{os.environ.get('RANK')}=", "=") for f in flags]
    sys.exit(train_softmax.main([f for f in mine if "@" not in f]))

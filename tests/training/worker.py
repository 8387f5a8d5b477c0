"""One process of a run on the tiny dataset.

worker.py DATA PREFIX STEPS BATCH KVSTORE [save] [teacher=TEACHER]
"""

import logging
import sys

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS, Network
from arcface_mxnet.training.loop import train
import mxnet as mx


def build_plain(options):
    """A network without batch statistics or dropout, so that only the whole batch counts."""
    data = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(
        data, num_filter=8, kernel=(3, 3), stride=(2, 2), no_bias=True, name="conv0"
    )
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu0")
    return mx.sym.FullyConnected(net, num_hidden=options.emb_size, name="fc1")


def config_of(data_dir, prefix, steps, batch, kvstore, *more):
    """Return the options of a run; all may be given as text."""
    save_each_step = "save" in more
    teacher = "".join(word.removeprefix("teacher=") for word in more if word.startswith("teacher"))
    return TrainConfig(
        data_dir=str(data_dir), prefix=str(prefix), network="plain", emb_size=8, target=(), lr=0.05,
        per_batch_size=int(batch), max_steps=int(steps), margin_s=8.0, margin_m=0.1,
        verbose=1 if save_each_step else int(steps), ckpt=2, kvstore=kvstore, rand_shift=2,
        teacher=teacher,
    )  # fmt: skip


def work(*words):
    NETWORKS.register("plain")(Network(build_plain, mx.init.Xavier, frozenset({"emb_size"})))
    logging.basicConfig(level=logging.INFO)
    train(config_of(*words))


if __name__ == "__main__":
    work(*sys.argv[1:])

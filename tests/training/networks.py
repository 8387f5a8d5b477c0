"""Tiny networks that compute the same in any number of processes."""

from arcface_mxnet.networks import NETWORKS, Network
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
    """Register the networks "plain", without batch statistics, and "dry"."""
    for name, build in (("plain", build_plain), ("dry", build_dry)):
        enter(name, Network(build, mx.init.Xavier, frozenset({"emb_size"})))

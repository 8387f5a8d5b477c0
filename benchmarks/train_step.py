"""Training steps on the CPU: stock graph, ours, and ours as it is without a compiler.

    python -m benchmarks.train_step                    y1 at batch 32, r50 at batch 8; 2 minutes
    python -m benchmarks.train_step --networks r18 --batch 16 --rounds 5

A step is forward, backward and update (SGD with momentum) with ArcFace over 1000 identities:
the stock one by mx.mod.Module, as the published script, the others as train_softmax.py makes
them.  They start from equal parameters and take turns; medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
from arcface_mxnet.networks import NETWORKS, build_network
import mxnet as mx

from benchmarks.steps import own_step, published_step
from benchmarks.timing import alternate, print_rates

BATCHES = {"y1": 32, "r50": 8}
NUM_CLASSES = 1000
KINDS = {"stock": "", "ours": "auto", "no compiler": "convolution"}


def training_symbol(name: str) -> mx.sym.Symbol:
    embedding = build_network(name, NETWORKS[name].published)
    loss = build_loss("arcface", TrainConfig(), NUM_CLASSES)
    return loss.symbol(embedding, mx.sym.Variable("softmax_label"))


def stepper(name: str, batch: int, kind: str) -> Callable[[], None]:
    """Return a function that makes one training step and waits for it."""
    symbol = training_symbol(name)
    if kind == "stock":
        return published_step(symbol, name, batch)
    return own_step(symbol, name, batch, KINDS[kind])


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="y1,r50", help="comma separated (y1,r50)")
    parser.add_argument("--batch", type=int, help="images per step (y1: 32, r50: 8, else 8)")
    parser.add_argument("--rounds", type=int, default=3, help="timed steps of each graph (3)")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv or [])
    for name in args.networks.split(","):
        batch = args.batch or BATCHES.get(name, 8)
        works = {kind: stepper(name, batch, kind) for kind in args.kinds.split(",")}
        print_rates(f"train {name}, batch {batch}", batch, alternate(works, args.rounds))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])

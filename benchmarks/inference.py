"""Embedding on the CPU: stock graph, ours, and ours as it is without a compiler.

    python -m benchmarks.inference                    y1 and r50; half a minute
    python -m benchmarks.inference --networks m1 --batch 1 --rounds 20

Forward passes of untrained networks: the time does not depend on the weights.  The graphs
take turns; medians.
"""

from __future__ import annotations

import argparse

from arcface_mxnet.networks import NETWORKS, build_network
from arcface_mxnet.ops import fast_graph, fold_norms
from arcface_mxnet.training.initial import initial_params
import mxnet as mx

from benchmarks.timing import alternate, print_rates

BATCHES = {"y1": 32, "r50": 8}
KINDS = {"stock": "stock", "ours": "auto", "no compiler": "convolution"}


def embedder(name: str, batch: int, kind: str):
    """Return a function that embeds one batch and waits for it."""
    symbol = build_network(name, NETWORKS[name].published)
    graph = fast_graph(symbol, mx.cpu(), kind=kind, training=False)
    mx.random.seed(1)
    shapes = {"data": (batch, 3, 112, 112)}
    params = initial_params(symbol, shapes, NETWORKS[name].initializer())
    if kind != "stock":
        graph = fold_norms(graph, mx.cpu(), *params, {"data": (1, 3, 112, 112)})
    executor = graph.simple_bind(mx.cpu(), grad_req="null", **shapes)
    executor.copy_params_from(*params)
    images = mx.nd.random.uniform(0, 255, shapes["data"])

    def embed():
        executor.forward(is_train=False, data=images)
        mx.nd.waitall()

    return embed


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="y1,r50", help="comma separated (y1,r50)")
    parser.add_argument("--batch", type=int, help="images per pass (y1: 32, r50: 8, else 8)")
    parser.add_argument("--rounds", type=int, default=5, help="timed passes of each graph (5)")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv or [])
    for name in args.networks.split(","):
        batch = args.batch or BATCHES.get(name, 8)
        works = {shown: embedder(name, batch, kind) for shown, kind in KINDS.items()}
        print_rates(f"embed {name}, batch {batch}", batch, alternate(works, args.rounds))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])

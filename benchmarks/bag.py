"""Embedding a bag for mining, as training does it: the engine with new parameters, by batches.

    python -m benchmarks.bag                     y1, m1, r18; a bag of 3,600 images; minutes
    python -m benchmarks.bag --networks y1 --images 900

Each time counts everything from the parameters after a step to the last embedding: conversion and
opening the session too.  The engines take turns; medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import sys

from arcface_mxnet.embedding.embedder import ParameterEmbedder
from arcface_mxnet.engines.session import fastest_dtype
from arcface_mxnet.networks import NETWORKS, build_network
from arcface_mxnet.training.initial import initial_params
import mxnet as mx
import numpy as np

from benchmarks.timing import alternate, processor

BATCH = 150  # --per-batch-size of the published triplet runs


def bag(name: str, images: int, engine: str, dtype: str = "float32") -> Callable[[], None]:
    """Return a function that embeds a bag with parameters that are new to the engine."""
    symbol = build_network(name, NETWORKS[name].published)
    params = initial_params(symbol, {"data": (1, 3, 112, 112)}, NETWORKS[name].initializer())
    embedder = ParameterEmbedder(symbol, *params, batch_size=BATCH, engine=engine, dtype=dtype)
    batch = np.random.default_rng(0).uniform(0, 255, (BATCH, 3, 112, 112)).astype(np.float32)

    def embed() -> None:
        embedder.set_parameters(*params)
        for _ in range(images // BATCH):
            embedder.forward(batch)

    return embed


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="y1,m1,r18", help="comma separated (%(default)s)")
    parser.add_argument("--images", type=int, default=3600, help="of the bag (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed bags of each (%(default)s)")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv or [])
    print(processor())
    for name in args.networks.split(","):
        works = {engine: bag(name, args.images, engine) for engine in ("mxnet", "onnxruntime")}
        if fastest_dtype(-1) == "bfloat16":  # as --triplet-dtype auto takes it
            works["bfloat16"] = bag(name, args.images, "onnxruntime", "bfloat16")
        mx.nd.waitall()
        for engine, seconds in alternate(works, args.rounds).items():
            rate = args.images / seconds
            print(
                f"{name:4} bag of {args.images}: {engine:12} {seconds:6.1f} s, {rate:6.1f} images/s"
            )


if __name__ == "__main__":
    main(sys.argv[1:])

"""How near MXNet and PyTorch, both in float32, are to the same graph in float64.

    python -m tests.torch_engine.parity            # every network with ArcFace, every loss on m05
    python -m tests.torch_engine.parity r50 loss:8 # these
    python -m tests.torch_engine.parity --results FILE  # goes on after what it has, and adds
    python -m tests.torch_engine.parity m2 --moved 6e-8 # what the graph makes of a rounding

Each graph makes three updates at batch 8, dropout off, on the same numbers.  A distance is the root
of the mean square, over arrays, of |a - b| / |b|, b in float64; gradients that BatchNorm makes
zero are left out.  A graph that is far is drawn again, up to three times, and the least distance
counts: where a value lies within a rounding of a kink of ReLU or PReLU, either engine may take the
other side by chance, which moves every gradient behind; what is wrong is wrong in every draw.
PyTorch must be at most twice as far as MXNet, or within what is float32's own.
--moved changes each parameter by that share of it, at random, and compares float64 with float64:
a graph that multiplies a change by so much does the same to the roundings of any engine.
MXNet runs as training binds it, with our operators: its own gradient of PReLU's slope is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
import json
from multiprocessing import get_context
from pathlib import Path
import sys
import time

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import LOSSES, build_loss
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
import mxnet as mx
import numpy as np
import torch

from tests.torch_engine.three_runs import Arrays, draw, on_mxnet, on_torch, without_dropout

BATCH, CLASSES, SIDE = 8, 10, 112
UPDATES, RATE, MOMENTUM, DECAY = 3, 0.01, 0.9, 5e-4
AT_MOST = 2.0
FLOOR = 3e-6  # relative: some roundings of float32 in a row
ZERO = 1e-7  # a gradient that small beside the others is rounding of what should be 0
DRAWS = 3
PARTS = ("outputs", "gradients", "statistics", "updates")

# Beside the defaults, what a loss needs to run on 8 images, and 9 for triplets.
OPTIONS = {
    "3": {"margin_m": 2.0}, "6": {"margin_b": 0.1}, "7": {"margin_b": 0.1},
    "9": {"images_per_identity": 2}, "10": {"images_per_identity": 2},
    "12": {"per_batch_size": 9}, "13": {"per_batch_size": 9},
}  # fmt: skip
# "none" learns from a teacher alone.
LOSS_KEYS = sorted({LOSSES.keys_of(LOSSES[key])[0] for key in LOSSES.names()} - {"none"})


@dataclass
class Distances:
    """Of one part of a graph's passes, from float64."""

    mxnet: float
    torch: float

    @property
    def is_near(self) -> bool:
        return self.torch <= max(AT_MOST * self.mxnet, FLOOR)


def training_symbol(
    network: str, key: str, side: int = SIDE, seed: int = 0
) -> tuple[mx.sym.Symbol, Arrays]:
    """Return a loss on a network without dropout, and inputs for it."""
    config = TrainConfig(**{"per_batch_size": BATCH, "loss_type": key} | OPTIONS.get(key, {}))
    loss, rows = build_loss(key, config, CLASSES), config.per_batch_size
    options = NETWORKS[network].published
    embedding = build_network(network, options if network.startswith("y") else NetworkOptions())
    rng = np.random.RandomState(1 + seed)
    identities = np.arange(rows) % 3 if loss.batch_plan == "triplets" else np.arange(rows) // 2
    inputs = {
        "data": rng.randint(0, 256, (rows, 3, side, side)).astype(np.float32),
        "softmax_label": identities.astype(np.float32),
    }
    inputs |= {name: np.full(rows, value, np.float32) for name, value in loss.step_inputs(1)}
    symbol = loss.symbol(embedding, mx.sym.Variable("softmax_label"))
    return without_dropout(symbol), inputs


def trained(run, params: Arrays, states: Arrays) -> dict[str, Arrays]:
    """Make the updates; return the first pass's parts and the parameters in the end."""
    moments = {name: np.zeros_like(value) for name, value in params.items()}
    first = None
    for _ in range(UPDATES):
        found = run(params, states)
        first = first or found
        params, states = dict(params), found.statistics
        for name, weight in params.items():
            gradient = found.gradients[name].astype(weight.dtype) + DECAY * weight
            moments[name] = MOMENTUM * moments[name] - RATE * gradient
            params[name] = weight + moments[name]
    return {
        "outputs": first.outputs,
        "gradients": first.gradients,
        "statistics": first.statistics,
        "updates": params,
    }


def compare(network: str, key: str, side: int = SIDE) -> tuple[dict[str, Distances], int]:
    """Return the least distances of a loss on a network, part by part, and how many draws it took
    until all were near, or DRAWS."""
    least: dict[str, Distances] = {}
    for seed in range(DRAWS):
        for part, one in compare_once(network, key, side, seed).items():
            held = least.get(part, one)
            least[part] = Distances(min(held.mxnet, one.mxnet), min(held.torch, one.torch))
        if all(one.is_near for one in least.values()):
            return least, seed + 1
    return least, DRAWS


def compare_alone(network: str, key: str) -> tuple[dict[str, Distances], int]:
    """Return what compare() does, from a process of its own: its memory goes with it.

    Raises MemoryError if that process was killed.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(compare, network, key).result()
        except BrokenProcessPool:
            raise MemoryError(f"{network}, loss {key}: killed, for its memory perhaps") from None


def compare_once(network: str, key: str, side: int, seed: int) -> dict[str, Distances]:
    symbol, inputs = training_symbol(network, key, side, seed)
    params, states = draw(symbol, {name: value.shape for name, value in inputs.items()}, seed)
    double = {name: value.astype(np.float64) for name, value in params.items()}

    def by_mxnet(params, states):
        return on_mxnet(symbol, inputs, params, states, fast=True)

    def by_torch(dtype):
        def run(params, states):
            return on_torch(symbol, inputs, params, states, dtype)

        return run

    wanted = trained(by_torch(torch.float64), double, states)
    return {
        part: Distances(*(distance(one[part], wanted[part]) for one in found))
        for found in [
            (trained(by_mxnet, params, states), trained(by_torch(torch.float32), params, states))
        ]
        for part in PARTS
    }


def moved(network: str, key: str, share: float, side: int = SIDE) -> dict[str, float]:
    """Return how far float64 is from itself when each parameter is changed by a share of it."""
    symbol, inputs = training_symbol(network, key, side)
    params, states = draw(symbol, {name: value.shape for name, value in inputs.items()}, 0)
    rng = np.random.RandomState(1)

    def run(params, states):
        return on_torch(symbol, inputs, params, states, torch.float64)

    double = {name: value.astype(np.float64) for name, value in params.items()}
    other = {name: v * (1 + share * rng.standard_normal(v.shape)) for name, v in double.items()}
    found, wanted = trained(run, other, states), trained(run, double, states)
    return {part: distance(found[part], wanted[part]) for part in PARTS}


def distance(found: Arrays, wanted: Arrays) -> float:
    sizes = {name: float(np.linalg.norm(value)) for name, value in wanted.items()}
    largest = max(sizes.values(), default=0.0)
    ratios = [
        float(np.linalg.norm(found[name].astype(np.float64) - wanted[name])) / size
        for name, size in sizes.items()
        if size > ZERO * largest
    ]
    return float(np.sqrt(np.mean(np.square(ratios)))) if ratios else 0.0


def graphs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (network, loss) of names as the command line has them; all of them for none."""
    names = names or [*NETWORKS.names(), *(f"loss:{key}" for key in LOSS_KEYS)]
    return [
        ("m05", name.removeprefix("loss:")) if name.startswith("loss:") else (name, "4")
        for name in names
    ]


def stored(file: Path | None) -> dict[str, dict]:
    """Return the results in a file, by graph; none where there is no file yet."""
    if file is None or not file.is_file():
        return {}
    return {one["graph"]: one for one in map(json.loads, file.read_text().splitlines())}


def row(result: dict) -> str:
    found = {part: Distances(**one) for part, one in result["parts"].items()}
    cells = "".join(
        f"{one.mxnet:16.2e} {one.torch:9.2e}{'' if one.is_near else ' FAR':>8}"
        for one in found.values()
    )
    return f"{result['graph']:24}{cells}  {result['draws']} drawn, {result['seconds']:.0f} s"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("graphs", nargs="*", help="networks, and losses as loss:KEY (default: all)")
    parser.add_argument("--results", type=Path, help="a file of JSON lines, taken up and added to")
    parser.add_argument("--moved", type=float, metavar="SHARE", help="of each parameter; see above")
    args = parser.parse_args(argv)
    if args.moved:
        print(f"{'graph':24}" + "".join(f"{part:>12}" for part in PARTS))
        for network, key in graphs(args.graphs):
            found = moved(network, key, args.moved)
            cells = "".join(f"{found[part]:12.2e}" for part in PARTS)
            print(f"{f'{network}, loss {key}':24}{cells}", flush=True)
        return 0
    print(f"{'graph':24}" + "".join(f"{part + ', MXNet, torch':>34}" for part in PARTS))
    far, lost, held = [], [], stored(args.results)
    for network, key in graphs(args.graphs):
        name = f"{network}, loss {key}"
        if name not in held:
            began = time.perf_counter()
            try:
                found, draws = compare_alone(network, key)
            except MemoryError as error:
                print(error, flush=True)
                lost.append(name)
                continue
            held[name] = {
                "graph": name,
                "parts": {part: asdict(one) for part, one in found.items()},
                "draws": draws,
                "seconds": time.perf_counter() - began,
            }
            if args.results:
                with args.results.open("a") as file:
                    file.write(json.dumps(held[name]) + "\n")
        print(row(held[name]), flush=True)
        if not all(Distances(**one).is_near for one in held[name]["parts"].values()):
            far.append(name)
    print(f"{len(far)} farther than {AT_MOST:g} times MXNet: {'; '.join(far) or 'none'}")
    if lost:
        print(f"{len(lost)} not compared: {'; '.join(lost)}")
    return 1 if far or lost else 0


if __name__ == "__main__":
    sys.exit(main())

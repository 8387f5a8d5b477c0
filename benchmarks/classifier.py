"""Classifiers of many identities: memory by formula and taken, time, and bytes between processes.

    python -m benchmarks.classifier [--cases memory,host,time,linear,traffic]

ArcFace on 64 embeddings behind a network that costs nothing, on the CPU.  memory: how much a
process of its own grows at its peak, beside the formula of torch_engine/classifier_memory.py.
host: 10 million identities x 128, partial 0.1, rows in the host's memory, two steps; limit 16 GB
for the whole process; and what is said to 10 million x 512.  time: sharded on one process at most
1.15 times dense at 100 thousand x 512, partial 0.1 at least 5 times as fast as dense at 1 million.
linear: one step by number of identities, and the slope.  traffic: bytes that each of two processes
gives in a step, which must not depend on the identities.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
from arcface_mxnet.torch_engine.classifier import Classifier
from arcface_mxnet.torch_engine.classifier_memory import ClassifierMemory, refuse_too_much
from arcface_mxnet.torch_engine.collectives import Collectives
from arcface_mxnet.torch_engine.fills import draw
from arcface_mxnet.torch_engine.free_memory import free_on_host
from arcface_mxnet.torch_engine.graph import Program
from arcface_mxnet.torch_engine.optimizer import TensorOptimizer
from arcface_mxnet.training.optimizer import SGD
import mxnet as mx
import numpy as np
import torch

from .memory import status
from .timing import alternate, processor

BATCH, RULE = 64, SGD(0.9, 5e-4, {})
HOST_LIMIT, GB = 16.0, 1e9
CASES = ("memory", "host", "time", "linear", "traffic")


def main(argv: tuple[str, ...] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help="which, comma separated")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.one:
        print(json.dumps(measured(**json.loads(chosen.one))))
        return
    print(processor())
    for case in chosen.cases.split(","):
        {"memory": memory, "host": host, "time": times, "linear": linear, "traffic": traffic}[
            case
        ]()


def in_a_process(**what: object) -> dict:
    command = [sys.executable, "-m", "benchmarks.classifier", "--one", json.dumps(what)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def formula(identities: int, width: int, rate: float | None) -> ClassifierMemory:
    return ClassifierMemory.of(
        identities=identities, rows=1, width=width, batch=BATCH, moments=1, processes=1,
        rate=rate or 1.0, is_sampled=rate is not None,
    )  # fmt: skip


def memory() -> None:
    for identities, width, rate in [
        (100_000, 512, None), (1_000_000, 512, None), (100_000, 512, 0.1), (1_000_000, 512, 0.1),
    ]:  # fmt: skip
        found = in_a_process(identities=identities, width=width, rate=rate)
        wanted = formula(identities, width, rate).total
        kind = f"partial {rate}" if rate else "sharded"
        print(
            f"{kind:12} {identities:>9} x {width}: takes {found['grown'] / GB:6.2f} GB, formula "
            f"{wanted / GB:6.2f} GB ({wanted / found['grown']:.2f}; limit 0.90 to 1.10)"
        )


def host() -> None:
    found = in_a_process(identities=10_000_000, width=128, rate=0.1, on_host=True, steps=2)
    wanted = formula(10_000_000, 128, 0.1)
    print(
        f"partial 0.1, host, 10000000 x 128: peak {found['peak'] / GB:.2f} GB of the process, "
        f"{found['grown'] / GB:.2f} GB of it the classifier's, formula {wanted.total / GB:.2f} GB; "
        f"{found['seconds']:.1f} s a step (limit {HOST_LIMIT} GB)"
    )
    try:
        refuse_too_much(formula(10_000_000, 512, 0.1), True, free_on_host(), None)
        print("10000000 x 512 fits this machine")
    except ValueError as error:
        print(f"10000000 x 512 is refused: {error}")


def times() -> None:
    works = {"dense": dense(100_000, 512), "sharded": shared_out(100_000, 512)}
    found = alternate(works, 5)
    ratio = found["sharded"] / found["dense"]
    print(f"100000 x 512: {told(found)}: sharded is {ratio:.2f} x dense (limit 1.15)")
    works = {"dense": dense(1_000_000, 512), "partial": shared_out(1_000_000, 512, rate=0.1)}
    found = alternate(works, 2)
    ratio = found["dense"] / found["partial"]
    print(f"1000000 x 512: {told(found)}: partial 0.1 is {ratio:.1f} x as fast (limit 5)")


def linear() -> None:
    sizes = (50_000, 100_000, 200_000, 400_000)
    found = {size: min(alternate({"step": shared_out(size, 512)}, 3).values()) for size in sizes}
    slope, rest = np.polyfit(sizes, list(found.values()), 1)
    line = ", ".join(f"{size}: {seconds * 1e3:.0f} ms" for size, seconds in found.items())
    worst = max(abs(slope * size + rest - seconds) / seconds for size, seconds in found.items())
    print(
        f"sharded x 512, by identities: {line}; {slope * 1e6:.2f} ms per 1000 identities, "
        f"{rest * 1e3:.0f} ms beside; farthest from the line {worst:.0%}"
    )


def traffic() -> None:
    sizes = (1_000, 10_000, 100_000)
    with tempfile.TemporaryDirectory() as folder:
        workers = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.classifier",
                    "--one",
                    json.dumps({"identities": list(sizes), "rank": rank, "folder": folder}),
                ],
                stdout=subprocess.PIPE,
                text=True,
            )  # fmt: skip
            for rank in range(2)
        ]
        given = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
    for rank, one in enumerate(given):
        line = ", ".join(f"{size}: {one['given'][str(size)]}" for size in sizes)
        print(
            f"bytes that process {rank} of 2 gives in a step of 2 x {BATCH}, by identities: {line}"
        )


def told(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in found.items())


def graph_of(identities: int, width: int):
    loss = build_loss("4", TrainConfig(), identities)
    embedding = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=width, name="fc1")
    symbol = loss.symbol(embedding, mx.sym.Variable("softmax_label"))
    return parse_graph(symbol.tojson(), "the symbol")


def batch_of(identities: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(identities, (BATCH,), generator=generator).float()
    return torch.randn((BATCH, width), generator=generator), labels


def shared_out(identities: int, width: int, together: Collectives | None = None, **options):
    """Return a step of a classifier that is shared out."""
    embedding, labels = batch_of(identities, width)
    inputs = frozenset({"data", "softmax_label"})
    together = together or Collectives()
    classifier = Classifier(
        graph_of(identities, width), identities, inputs, width, RULE, 1.0, together, **options
    )
    classifier.rows.fill(lambda name, begin, rows: draw(rows, begin, identities, 1))

    def step() -> None:
        classifier(embedding, {"softmax_label": labels}, {})
        classifier.update(0.1)

    return step


def dense(identities: int, width: int):
    """Return a step of the published loss, computed as a dense classifier's is."""
    graph = graph_of(identities, width)
    program = Program(graph, training=True)
    embedding, labels = batch_of(identities, width)
    weight = torch.empty((identities, width))
    draw(weight, 0, identities, 1)
    weights = {"fc7_weight": weight.requires_grad_()}
    optimizer = TensorOptimizer(RULE, weights, 1.0, frozenset())
    # The network in front is the identity, so that its gradient is the embedding's.
    fixed = {"fc1_weight": torch.eye(width), "fc1_bias": torch.zeros(width)}

    def step() -> None:
        given = {"data": embedding.clone().requires_grad_(), "softmax_label": labels}
        outputs, _ = program(weights | fixed | given)
        losses = [o for o, is_loss in zip(outputs, program.losses, strict=True) if is_loss]
        torch.autograd.backward(losses, [torch.ones_like(loss) for loss in losses])
        outputs[1].detach().argmax(dim=1)  # as the metric asks
        optimizer.update({"fc7_weight": weight.grad}, 0.1, 1.0)
        weight.grad = None

    return step


def measured(identities, width=512, rate=None, on_host=False, steps=3, rank=None, folder=""):
    """Return what one process measures."""
    if rank is not None:
        return {"given": given_by(rank, Path(folder), identities)}
    before = status("VmRSS")
    step = shared_out(identities, width, rate=rate, on_host=on_host)
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    seconds = (time.perf_counter() - begin) / steps
    peak = status("VmHWM")
    return {"grown": peak - before, "peak": peak, "seconds": seconds}


def given_by(rank: int, folder: Path, sizes: list[int]) -> dict[int, int]:
    """Return the bytes that this one of two processes gives in a step, by identities."""
    import torch.distributed as dist

    class Processes:
        count = 2

        def __init__(self):
            self.rank = rank

        def group_on(self, device):
            return dist.group.WORLD

        def wait(self, start):
            start().wait()

    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for size in sizes:
        together = Collectives(Processes())
        shared_out(size, 128, together)()
        found[size] = together.given
    dist.barrier()
    dist.destroy_process_group()
    return found


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))

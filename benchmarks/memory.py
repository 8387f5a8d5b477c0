"""The memory that training is estimated to take, beside what it takes, on the CPU.

    python -m benchmarks.memory

Each network trains two steps in a process of its own on drawn images; printed is how much the
process grew, and the estimate as a multiple of it.
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path
import re
import tempfile

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.training.engine import has_torch
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan import make_plan
import cv2
import numpy as np

RUNS = (
    *(("y1", 8), ("y1", 32), ("m1", 16), ("m2", 16), ("d121", 8), ("p68", 4)),
    *(("r18", 8), ("r50", 8)),
)
ON_TORCH = (("y1", 16), ("r18", 8))  # where it is installed
IMAGES, SIDE = 64, 112
MIB = 2**20


def write_faces(folder: str) -> None:
    """Write a plain dataset of noise."""
    rng = np.random.RandomState(0)
    with RecordWriter(Path(folder, "train.rec"), Path(folder, "train.idx")) as writer:
        for key in range(IMAGES):
            image = rng.randint(0, 256, (SIDE, SIDE, 3), np.uint8)
            writer.write(key, float(key % 8), cv2.imencode(".jpg", image)[1].tobytes())
    Path(folder, "property").write_text(f"8,{SIDE},{SIDE}\n", encoding="utf-8")


def status(name: str) -> int:
    """Return a size from /proc/self/status in bytes."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(name + r":\s+(\d+)", text)[1]) * 1024


def grow(
    folder: str, network: str, batch: int, engine: str, results: multiprocessing.SimpleQueue
) -> None:
    """Put (estimate, growth) in bytes of one run."""
    config = TrainConfig(
        data_dir=folder, prefix=f"{folder}/{network}-{batch}-{engine}", network=network, target=(),
        per_batch_size=batch, max_steps=2, engine=engine,
    )  # fmt: skip
    plan = make_plan(config)
    estimate = plan.engine.estimate(plan).total
    before = status("VmRSS")
    train(config)
    results.put((estimate, status("VmHWM") - before))


def main() -> None:
    """Print one line per run."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        write_faces(folder)
        runs = [(*run, "mxnet") for run in RUNS]
        runs += [(*run, "torch") for run in ON_TORCH if has_torch()]
        for network, batch, engine in runs:
            results = context.SimpleQueue()
            process = context.Process(target=grow, args=(folder, network, batch, engine, results))
            process.start()
            process.join()
            if process.exitcode:
                raise RuntimeError(f"{network}, batch {batch}: exit code {process.exitcode}")
            estimate, growth = results.get()
            run = f"{network:4} batch {batch:3}, {engine}"
            print(f"{run}: estimated {estimate / MIB:6.0f} MiB, took "
                  f"{growth / MIB:6.0f} MiB: {estimate / growth:.2f} x")  # fmt: skip


if __name__ == "__main__":
    main()

"""Images per second of the training loader with augmentations, beside bare decoding.

    python -m benchmarks.augment [ROUNDS]

The crops of benchmarks.loader, batch 128, as many threads as cores.  What a source reads ahead is
waited for within its own time.  Wall is the median of alternating rounds; CPU the processor time of
all threads, which other programs disturb less.  Both are told as a share of bare decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from statistics import median
import sys
import tempfile
import time

from arcface_mxnet.batches.source import BatchSource
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
import numpy as np

from .loader import BATCH, THREADS, decode, write_crops

NUM_BATCHES = 6
SETTINGS: dict[str, dict[str, object]] = {
    "nothing": {"rand_mirror": 0},
    "mirror (the default)": {},
    "mirror, color 1, cutoff": {"color": 1, "cutoff": 40},
    "mirror, color 2, cutoff": {"color": 2, "cutoff": 40},
    "... and shift": {"color": 2, "cutoff": 40, "rand_shift": 4},
    "mirror, low-res 0.2": {"low_res": 0.2},
    "mirror, every new one 0.1": dict.fromkeys(
        ("mask", "glasses", "rotate", "grey", "blur", "motion_blur", "low_res", "jpeg", "erase"),
        0.1,
    ),
}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), rounds)


def measure(folder: Path, rounds: int) -> None:
    jpegs = write_crops(folder)[: NUM_BATCHES * BATCH]
    dataset = FaceDataset(folder)
    pool = ThreadPoolExecutor(THREADS)
    works: dict[str, Callable[[], object]] = {
        "bare decoding": lambda: list(pool.map(decode, jpegs))
    }
    for name, options in SETTINGS.items():
        config = TrainConfig(per_batch_size=BATCH, num_threads=THREADS, **options)
        source = BatchSource("shuffled", [dataset], config, np.random.default_rng(0))
        works[name] = lambda source=source: take(source)
    wall: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):  # the first prepares memory and what is read ahead
        for name, work in works.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            work()
            if number:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - began_cpu)
    print(f"{THREADS} threads, batch {BATCH}, medians of {rounds} alternating rounds")
    first = next(iter(works))
    for name in works:
        rate = NUM_BATCHES * BATCH / median(wall[name])
        share, cpu_share = (median(of[first]) / median(of[name]) for of in (wall, cpu))
        print(f"{name:28}{rate:8.0f} images/s  {share:5.2f} of bare  {cpu_share:5.2f} by CPU time")


def take(source: BatchSource) -> None:
    for _ in range(NUM_BATCHES):
        next(source)
    for reading in source._pending:
        wait(reading.futures)


if __name__ == "__main__":
    main()

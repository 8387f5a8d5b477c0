"""What the checks of foreign bytes cost the training loader.

    python -m benchmarks.door
    python -m benchmarks.door --against CHECKOUT     the same of another checkout of this project

The crops are those of benchmarks.loader.  Of each step the shortest of many calls on each image is
taken, on one thread, so the figures hardly change with what else the machine does.  With another
checkout both loaders, each with all cores, also draw short passes in turn; the ratio is the median
of the ratios of neighbouring passes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from itertools import islice
from pathlib import Path
from statistics import median
import sys
import tempfile
import time

from arcface_mxnet.data.image_header import read_header
import cv2
import numpy as np

from .loader import BATCH, NUM_BATCHES, THREADS, write_crops

OURS, OTHER = "arcface_mxnet", "arcface_mxnet_of_another_checkout"
IMAGES = 300
CALLS = 20  # of each step on each image


def main(argv: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=20, help="passes of each loader (20)")
    args = parser.parse_args(argv)
    packages = {"this": OURS}
    if args.against:
        enter(OTHER, args.against / "src")
        packages["other"] = OTHER
    with tempfile.TemporaryDirectory() as folder:
        write_crops(Path(folder))
        datasets = {
            name: import_module(f"{package}.data.dataset").FaceDataset(folder)
            for name, package in packages.items()
        }
        print_steps(datasets)
        if args.against:
            print_passes(datasets, packages, args.rounds)


def enter(name: str, folder: Path) -> None:
    """Make the package of a folder importable under another name; within it all is relative."""
    spec = spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def print_steps(datasets: Mapping[str, object]) -> None:
    dataset = datasets["this"]
    keys = [int(key) for key in dataset.image_keys[:IMAGES]]
    jpegs = {key: dataset.records.read(key).payload for key in keys}

    def decoded(key: int) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(jpegs[key], np.uint8), cv2.IMREAD_COLOR)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)

    steps = {f"a sample, {name}": one.sample for name, one in datasets.items()}
    steps |= {f"its record, {name}": one.records.read for name, one in datasets.items()}
    steps |= {"its pixels, by OpenCV alone": decoded}
    steps |= {"its header, looked at first": lambda key: read_header(jpegs[key])}
    micros = shortest(steps, keys)
    for name, value in micros.items():
        print(f"{name:30}{value:8.2f} us")
    share = micros["its header, looked at first"] / micros["a sample, this"]
    print(f"looking at the header takes {share:.1%} of a sample")


def shortest(steps: Mapping[str, Callable[[int], object]], keys: Sequence[int]) -> dict[str, float]:
    """Return the mean over keys of the shortest call of each step, microseconds.

    Each is the first of its round in turn: that one finds the image in no cache.
    """
    best = {name: np.full(len(keys), np.inf) for name in steps}
    turn = list(steps.items())
    for _ in range(CALLS):
        turn.append(turn.pop(0))
        for place, key in enumerate(keys):
            for name, step in turn:
                began = time.perf_counter()
                step(key)
                best[name][place] = min(best[name][place], time.perf_counter() - began)
    return {name: 1e6 * values.mean() for name, values in best.items()}


def print_passes(datasets: Mapping[str, object], packages: Mapping[str, str], rounds: int) -> None:
    sources = {
        name: import_module(f"{package}.batches.source").batches(
            "shuffled",
            datasets[name],
            import_module(f"{package}.config").TrainConfig(
                per_batch_size=BATCH, num_threads=THREADS, rand_mirror=1
            ),
            np.random.default_rng(0),
        )
        for name, package in packages.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    for number in range(rounds + 1):
        turn = list(sources.items())
        for name, source in turn if number % 2 else reversed(turn):
            began = time.perf_counter()
            for _ in islice(source, NUM_BATCHES):
                pass
            if number:  # the first pass prepares memory
                seconds[name].append(time.perf_counter() - began)
    for name, values in seconds.items():
        rate, best = (NUM_BATCHES * BATCH / value for value in (median(values), min(values)))
        print(f"{name:8}{rate:8.0f} images/s, at best {best:.0f} ({THREADS} threads)")
    ratio = median(
        other / this for this, other in zip(seconds["this"], seconds["other"], strict=True)
    )
    print(f"this draws {ratio:.3f} times as many images/s as the other")


if __name__ == "__main__":
    main(sys.argv[1:])

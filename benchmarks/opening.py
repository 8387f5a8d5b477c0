"""A dataset of millions of images before the first step: its index, its opening, bags of triplets.

    python -m benchmarks.opening                      10 million images, 30 of each identity
    python -m benchmarks.opening --images 5800000

Numpy only; synthetic records without pictures in a temporary folder, 48 bytes each.  Every figure
is that of a process of its own, from the page cache; MB: the most it held above its imports.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from arcface_mxnet.batches.grouped import GroupedOrder
from arcface_mxnet.data.framing import MAGIC
import numpy as np

EACH = 30  # images of an identity
BYTES = 48  # of a record
BAG = 3600
RECORD = np.dtype("<u4, <u4, <u4, <f4, <u8, <u8, (2,)<f4, <u8")
RECORD.names = ("magic", "length", "flag", "label", "id", "id2", "labels", "payload")

MEASURE = """
import re, sys, time
import numpy as np
def status(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
{imports}
folder, before, began = sys.argv[1], status("VmRSS"), time.perf_counter()
{work}
print(f"{{time.perf_counter() - began:.2f}} s, {{status('VmHWM') - before:.0f}} MB{{said}}")
"""
WORKS = {
    "the index alone": (
        "from arcface_mxnet.data.records import read_index",
        "keys, offsets = read_index(folder + '/train.idx'); said = ''",
    ),
    "the dataset, with its fingerprint": (
        "from arcface_mxnet.data.dataset import FaceDataset",
        "data = FaceDataset(folder)\nsaid = f', {data.fingerprint()}, {data.image_shape}'",
    ),
    "and how many identities have images": (
        "from arcface_mxnet.data.dataset import FaceDataset",
        "data = FaceDataset(folder)\nsaid = f', {data.count_identities()} identities'",
    ),
}


def write_records(folder: Path, images: int) -> None:
    """Write a dataset of so many images, an identity after the other."""
    identities = -(-images // EACH)
    firsts = 1 + EACH * np.arange(identities)
    ends = np.minimum(firsts + EACH, images + 1)
    total = 1 + images + identities
    records = np.zeros(total, RECORD)
    records["magic"], records["flag"], records["id"] = MAGIC, 2, np.arange(total)
    records["length"] = BYTES - 8
    records["labels"][1 : images + 1, 0] = np.arange(images) // EACH
    header = np.arange(total) > images
    header[0] = True
    records["length"][header] -= 8  # no picture; what stands in its place is never read
    records["labels"][0] = images + 1, total
    records["labels"][images + 1 :] = np.stack([firsts, ends], axis=1)
    records["id2"][0] = (images + 1) << 32 | total
    records["id2"][images + 1 :] = firsts << 32 | ends
    records[:-1].tofile(folder / "train.rec")
    with (folder / "train.rec").open("ab") as file:
        file.write(records[-1].tobytes()[:-8])
    with (folder / "train.idx").open("w") as file:
        for begin in range(0, total, 100_000):
            numbers = range(begin, min(begin + 100_000, total))
            file.write("".join(f"{number}\t{number * BYTES}\n" for number in numbers))
    (folder / "property").write_text(f"{identities},112,112\n")


def bags(images: int) -> None:
    """Print what the selection of a bag takes: the first of a round, and others."""
    ends = np.arange(EACH, images + EACH, EACH)
    groups = np.split(np.arange(images), ends[ends < images])
    for each in (5, EACH):
        order = GroupedOrder(groups, each)
        firsts, others = [], []
        for a_round in range(5):
            began = time.perf_counter()
            order.start(np.random.default_rng(a_round))
            order.part(0, BAG)
            firsts.append(time.perf_counter() - began)
            for place in range(1, 20):
                began = time.perf_counter()
                order.part(place * BAG, (place + 1) * BAG)
                others.append(time.perf_counter() - began)
        told = ", ".join(
            f"{name} {1000 * np.median(times):.1f} ms (most {1000 * max(times):.1f})"
            for name, times in (("the first of a round", firsts), ("others", others))
        )
        print(f"a bag of {BAG}, {each} images of an identity: {told}")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000_000, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each (%(default)s)")
    return parser


def main(argv: list[str] | None = None) -> None:
    args = build_parser().parse_args(argv or [])
    print(f"{args.images} images of {-(-args.images // EACH)} identities")
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder), args.images)
        for name, (imports, work) in WORKS.items():
            program = MEASURE.format(imports=imports, work=work)
            command = [sys.executable, "-c", program, folder]
            for _ in range(args.rounds):
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                print(f"{name}: {done.stdout.strip()}")
    bags(args.images)


if __name__ == "__main__":
    main(sys.argv[1:])

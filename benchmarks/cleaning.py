"""Cleaning 100,000 vectors of 512 values, and the data card of 100,000 images.

    python -m benchmarks.cleaning

The plan with all checks (spread, clusters, flips, merges, near duplicates) over 4,000 synthetic
people with 25 images each and faults planted among them, beside what the whole matrix of cosines
would take (its products alone, from a part of them); seconds, peak memory of the process, and what
was found.  The card reads, decodes and measures every image of a dataset of 400 crops, each packed
250 times.
"""

from __future__ import annotations

from argparse import Namespace
import contextlib
import io
from pathlib import Path
import resource
import sys
import tempfile
import time

from arcface_mxnet.clean.card_command import write_card
from arcface_mxnet.clean.decisions import NAMES
from arcface_mxnet.clean.faces import in_order
from arcface_mxnet.clean.planning import Options, plan
from arcface_mxnet.clean.stages import Stages
from arcface_mxnet.data.ranges import range_record
from arcface_mxnet.data.records import RecordWriter
import cv2
import numpy as np

PEOPLE, IMAGES_EACH, DIM = 4000, 25, 512
NOISE = 0.9  # length of the noise beside a centre of length 1: a cosine of 0.55 within a person
FLIPS, COPIES, PARTED = 1000, 1000, 100
FOUND = {"flip": ("flip", "far"), "copy": ("duplicate",), "parted": ("merge",)}
PART = 4096  # rows of the products that stand for the whole matrix


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cleaning(Path(folder))
        carding(Path(folder) / "set")


def cleaning(folder: Path) -> None:
    truth = np.repeat(np.arange(PEOPLE), IMAGES_EACH)
    labels, kinds = planted(folder / "vectors.npy", truth)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    count = len(truth)
    faces = in_order(vectors, np.arange(count), np.arange(1, count + 1), labels)
    begin = time.perf_counter()
    found = plan(faces, Options(), Stages(folder / "work", {}), int(labels.max()) + 1).decisions
    seconds = time.perf_counter() - begin
    print(f"{count:,} x {DIM}, {len(faces.counts):,} identities")
    print(f"plan                        {seconds:7.1f} s, {peak_mib():,.0f} MiB at most")
    print(f"all cosines, products alone {whole_matrix(faces):7.1f} s")
    reason = np.full(count, "", object)
    reason[faces.keys - 1] = np.array(["", *NAMES], object)[found.reason + 1]
    for kind, wanted in FOUND.items():
        rows = kinds == kind
        print(f"{kind:8} {np.isin(reason[rows], wanted).mean():8.4f} of {rows.sum():,} found")
    sound = kinds == ""
    print(f"sound    {(reason[sound] != '').mean():8.4f} of {sound.sum():,} touched")


def planted(path: Path, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write vectors of people to path; return labels with faults, and the fault of each image."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(PEOPLE, DIM)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (len(truth), DIM))
    for at in range(0, len(truth), PART):
        some = truth[at : at + PART]
        noise = rng.normal(size=(len(some), DIM)).astype(np.float32)
        out[at : at + PART] = centres[some] + noise * np.float32(NOISE / np.sqrt(DIM))
    labels, kinds = truth.copy(), np.full(len(truth), "", object)
    people = rng.permutation(PEOPLE)
    first = truth.searchsorted(np.arange(PEOPLE))
    for number, person in enumerate(people[:PARTED], start=PEOPLE):  # the smaller part moves back
        rows = first[person] + np.arange(IMAGES_EACH // 2)
        labels[rows], kinds[rows] = number, "parted"
    for person in people[PARTED : PARTED + FLIPS]:
        row = first[person] + 3
        labels[row], kinds[row] = people[-1 - PARTED - row % 1000], "flip"
    for person in people[PARTED + FLIPS : PARTED + FLIPS + COPIES]:
        row = first[person]
        out[row + 5] = out[row] * 1.1
        kinds[row + 5] = "copy"
    out.flush()
    return labels, kinds


def whole_matrix(faces) -> float:
    """Return the seconds of all products of pairs, from a stretch of them."""
    left, right = faces.unit(np.arange(PART)), faces.unit(np.arange(PART, 2 * PART))
    left @ right.T
    begin = time.perf_counter()
    left @ right.T
    return (time.perf_counter() - begin) * (len(faces) / PART) ** 2 / 2


def carding(folder: Path) -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (400, 14, 14, 3), np.uint8)
    crops = [cv2.imencode(".jpg", cv2.resize(one, (112, 112)))[1].tobytes() for one in small]
    count = len(crops) * 250
    folder.mkdir()
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key in range(1, count + 1):
            writer.write(key, [(key - 1) // 25, 1], crops[key % len(crops)])
        people = count // 25
        writer.write(0, range_record(count + 1, count + 1 + people)[0])
        for person in range(people):
            ends = range_record(1 + 25 * person, 26 + 25 * person)[0]
            writer.write(count + 1 + person, ends)
    (folder / "property").write_text(f"{people},112,112\n")
    options = Namespace(dataset=str(folder), out="", sample=count, seed=0, vectors="", against=[])
    begin = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        write_card(options)
    print(f"card of {count:,} images     {time.perf_counter() - begin:7.1f} s")


def peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    main()

"""MegaFace: the search against its bare matrix products, the import against bare reading.

    python -m benchmarks.megaface            about a minute: 100,000 distractors
    python -m benchmarks.megaface --full     1,000,000 distractors, 100,000 files, growth; needs
                                             4 GB of disk for a while

Where faiss is installed its search for the nearest distractor alone is timed too.

Every block of distractors is multiplied twice in turn, once bare and once in the search, so
that both meet the same machine.  Memory is what the process holds beside the mapped file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys
import tempfile
import time

from arcface_mxnet.megaface import convert, synthetic
from arcface_mxnet.megaface.lists import SIZES, read_probe_list
from arcface_mxnet.megaface.packed import FeatureStore
from arcface_mxnet.megaface.search import BLOCK, IdentificationResult, identify
import numpy as np

from benchmarks.timing import processor

PEOPLE, IMAGES, DIM = 80, 3530, 512
FEW_PROBES = 353  # for growth: a tenth of the work


def main(argv: Sequence[str] = ()) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the sizes of the figures")
    full = parser.parse_args(argv).full
    with tempfile.TemporaryDirectory(prefix="megaface-") as folder:
        largest = time_search(Path(folder), 1_000_000 if full else 100_000)
        time_faiss(Path(folder), largest)
        time_full_matrix(Path(folder))
        time_growth(Path(folder), (2_000_000, 4_000_000) if full else (200_000, 400_000))
    with tempfile.TemporaryDirectory(prefix="megaface-") as folder:
        time_import(Path(folder), 100_000 if full else 10_000)


def time_search(folder: Path, count: int) -> IdentificationResult:
    """Print the search's time over that of its products, and its memory; return the largest."""
    options = f"{folder} --people {PEOPLE} --images {IMAGES} --distractors {count} --dim {DIM}"
    assert synthetic.main([*options.split(), "--store", "float32"]) == 0
    probes, ids, store = _load(folder)
    lists = [np.arange(size) for size in SIZES if size <= count]
    reader = Reader(store, probes)
    start = time.perf_counter()
    results = identify(probes, ids, reader, lists)
    ours = time.perf_counter() - start - reader.spent
    bare = reader.products * count / reader.rows  # the pilot's rows are part of ours alone
    rank_1 = ", ".join(f"{np.mean(result.closer == 0):.4f}" for result in results)
    print(processor())
    print(f"search: {IMAGES} probes x {count:,} distractors x {DIM} float32, {len(lists)} sizes")
    print(f"  rank 1 by size          {rank_1}")
    print(f"  bare products           {bare:8.1f} s")
    print(f"  search                  {ours:8.1f} s, {ours / bare:.2f} of the bare products")
    print(f"  memory beside the file  {reader.peak_mb:8.0f} MB, the bare product's share with it")
    return results[-1]


def time_faiss(folder: Path, exact: IdentificationResult) -> None:
    """Print time and errors of rank 1 by faiss, which gives neither ranks nor a ROC."""
    try:
        import faiss
    except ImportError:
        print("faiss: not installed, not compared")
        return
    probes, _, store = _load(folder)
    before = _memory_mb("/proc/self/status", "RssAnon")
    start = time.perf_counter()
    index = faiss.IndexFlatL2(DIM)
    for at in range(0, len(store), BLOCK):
        index.add(store.read(np.arange(at, min(at + BLOCK, len(store)))))
    distance, row = index.search(probes, 1)
    spent = time.perf_counter() - start
    memory = _memory_mb("/proc/self/status", "RssAnon") - before
    first = exact.pairs.distance <= distance[exact.pairs.probe, 0]
    wrong = np.count_nonzero(first != (exact.closer == 0))
    other = np.count_nonzero(row[:, 0] != exact.best_row)
    print(f"faiss {faiss.__version__}, IndexFlatL2, the nearest alone, {len(store):,} distractors")
    print(f"  rank 1 of one size      {spent:8.1f} s, {memory:,.0f} MB for its copy")
    print(f"  pairs it decides otherwise {wrong:5} of {len(first):,}; other nearest {other}")


def time_full_matrix(folder: Path) -> None:
    """Print the usual evaluation, one matrix of all scores, and where it stops fitting."""
    probes, ids, store = _load(folder)
    count = 20_000
    distractors = store.read(np.arange(count))
    start = time.perf_counter()
    scores = probes @ distractors.T
    mates = probes @ probes.T
    people = np.unique(ids, return_inverse=True)[1]
    best = np.argpartition(scores, -1, axis=1)[:, -1]
    nearest = scores[np.arange(len(probes)), best]
    same = (people[:, None] == people) & ~np.eye(len(probes), dtype=bool)
    rank_1 = np.mean(mates[same] >= np.repeat(nearest, same.sum(axis=1)))
    whole = time.perf_counter() - start
    start = time.perf_counter()
    (result,) = identify(probes, ids, distractors)
    ours = time.perf_counter() - start
    print(f"full matrix of scores, {count:,} distractors")
    print(f"  rank 1 alone by argpartition  {whole:6.1f} s, rank 1 {rank_1:.6f}")
    print(
        f"  every rank and the ROC, ours  {ours:6.1f} s, rank 1 {np.mean(result.closer == 0):.6f}"
    )
    each = len(probes) * (4 + 8)  # the scores, and argpartition's int64 places
    free = _memory_mb("/proc/meminfo", "MemAvailable") * 1e6
    print(f"  it needs {each * 1e6 / 1e9:.0f} GB for 1,000,000; here it stops fitting at "
          f"{free / each:,.0f} distractors")  # fmt: skip


def time_growth(folder: Path, counts: tuple[int, int]) -> None:
    """Print time and memory for more distractors than the store has: its rows come again."""
    probes, ids, store = _load(folder)
    some = np.linspace(0, len(probes) - 1, FEW_PROBES).astype(int)
    ids = [f"{i // 2}" for i in range(FEW_PROBES - 1)]
    times = []
    print(f"growth: {FEW_PROBES - 1} probes, distractors come again after {len(store):,}")
    for count in counts:
        reader = Reader(store)
        start = time.perf_counter()
        identify(probes[some[:-1]], ids, reader, [np.arange(count)])
        times.append(time.perf_counter() - start)
        print(f"  {count:>10,} distractors  {times[-1]:6.1f} s  {reader.peak_mb:6.0f} MB")
    slope = (times[1] - times[0]) / (counts[1] - counts[0])
    print(f"  {10_000_000:>10,} extrapolated {times[1] + slope * (10_000_000 - counts[1]):6.1f} s")


def time_import(folder: Path, count: int) -> None:
    """Print the rate of packing feature files over that of reading them bare."""
    options = f"{folder} --people 2 --images 4 --distractors {count} --dim {DIM}"
    assert synthetic.main(options.split()) == 0
    root, ending = folder / "megaface", synthetic.ENDING
    lists = folder / "templatelists" / f"megaface_features_list.json_{count}_1"
    names = convert.read_names(lists)
    bare, ours = [], []
    for repeat in range(3):
        start = time.perf_counter()
        for name in names:
            with open(f"{root}/{name}{ending}", "rb") as file:  # noqa: PTH123  the bare way
                file.read()
        bare.append(time.perf_counter() - start)
        start = time.perf_counter()
        convert.import_files(root, ending, folder / f"packed{repeat}.npy", lists, "float32")
        ours.append(time.perf_counter() - start)
        (folder / f"packed{repeat}.npy").unlink()
    share = np.median(np.array(bare) / np.array(ours))
    print(f"import of {count:,} feature files: {np.median(ours):.1f} s, bare reading "
          f"{np.median(bare):.1f} s, {share:.2f} of its rate (median of 3)")  # fmt: skip


class Reader:
    """Reads distractors for the search; multiplies each block bare, and watches memory."""

    def __init__(self, store: FeatureStore, probes: np.ndarray | None = None):
        self.store, self.probes = store, probes
        self.scores = np.empty(0, np.float32)
        self.products = self.spent = self.peak_mb = 0.0
        self.rows = 0

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        vectors = self.store.read(rows % len(self.store))
        start = time.perf_counter()
        self.rows += len(rows)
        if self.probes is not None:
            size = len(self.probes) * len(rows)
            if self.scores.size < size:
                self.scores = np.zeros(size, np.float32)
            out = self.scores[:size].reshape(len(self.probes), len(rows))
            begin = time.perf_counter()
            np.matmul(self.probes, vectors.T, out=out)
            self.products += time.perf_counter() - begin
        self.peak_mb = max(self.peak_mb, _memory_mb("/proc/self/status", "RssAnon"))
        self.spent += time.perf_counter() - start
        return vectors


def _load(folder: Path) -> tuple[np.ndarray, list[str], FeatureStore]:
    probe_list = read_probe_list(folder / "templatelists" / "facescrub_features_list.json")
    probes = FeatureStore(folder / "facescrub_synthetic.npy").read(np.arange(IMAGES))
    return probes, list(probe_list.ids), FeatureStore(folder / "megaface_synthetic.npy")


def _memory_mb(path: str, field: str) -> float:
    lines = Path(path).read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main(sys.argv[1:])

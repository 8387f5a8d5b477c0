"""Comparing what datasets say twice: when they are opened, and by `arcface-rec check`.

    python -m benchmarks.checking [--images 5800000,17000000] [--crops 60000] [--folder FOLDER]

First crops of 112x112 as JPEG: check without decoding against reading the file in blocks of 16
MiB, both after the system was told to forget it; and with decoding against decoding alone, from
memory, by as many threads.  Then files of millions of images: true headers, identity records and
index, payloads of 16 bytes, 68 images for each identity, so that 17 million take 1 GB.  Each
figure of those is of a process of its own; "cold" was forgotten before; the bare limit is reading
the index as numbers.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import subprocess
import sys
import tempfile

from arcface_mxnet.data.facts import gather
from arcface_mxnet.data.inspecting import decoding_judge
from arcface_mxnet.data.ranges import range_record
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.data.scan import CHUNK
import cv2
import numpy as np

from .timing import alternate

PAYLOAD, PER_IDENTITY = 16, 68
RECORD = np.dtype(
    [("magic", "<u4"), ("word", "<u4"), ("flag", "<u4"), ("label", "<f4"), ("id", "<u8"),
     ("id2", "<u8"), ("labels", "<f4", (2,)), ("payload", "u1", (PAYLOAD,))]
)  # fmt: skip
BARE = np.dtype(RECORD.descr[:-1])
MEASURE = """
import sys, time
folder, what = sys.argv[1:]
if what == "open":
    from arcface_mxnet.data.dataset import FaceDataset as work
elif what == "check":
    from arcface_mxnet.data.facts import gather as work
else:
    import numpy as np
    def work(folder):
        np.fromstring(open(folder + "/train.idx").read(), np.int64, sep=" ")
begin = time.perf_counter()
work(folder)
seconds = time.perf_counter() - begin
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"{seconds:.2f} {int(peak.split()[1]) / 1e6:.2f}")
"""


def main(argv: tuple[str, ...] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", default="5800000,17000000", help="how many, comma separated")
    parser.add_argument("--crops", type=int, default=60_000, help="how many (default: 60000)")
    parser.add_argument("--folder", help="where the files are made (default: a temporary folder)")
    arguments = parser.parse_args(list(argv))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        check_crops(Path(folder), arguments.crops)
    print(
        f"{'images':>10} {'':<8} {'bare':>14} {'open, warm':>14} {'open, cold':>14} {'check':>14}"
    )
    for count in map(int, arguments.images.split(",")):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            make(Path(folder), count)
            row = [measure(folder, "bare"), measure(folder, "open")]
            forget(Path(folder))
            row += [measure(folder, "open"), measure(folder, "check")]
        cells = "".join(f"{seconds:8.2f} s {memory:4.2f}" for seconds, memory in row)
        print(f"{count:10} seconds, GB {cells}", flush=True)


def check_crops(folder: Path, count: int) -> None:
    """Print how fast crops are checked, and what the disk and the decoder alone take."""
    rng = np.random.default_rng(0)
    payloads = []
    for _ in range(200):
        coarse = rng.integers(0, 256, (14, 14, 3)).astype(np.uint8)
        image = cv2.resize(coarse, (112, 112)) // 2 + rng.integers(0, 60, (112, 112, 3), np.uint8)
        payloads.append(cv2.imencode(".jpg", image)[1].tobytes())
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key in range(count):
            writer.write(key, key // PER_IDENTITY, payloads[key % 200])
    (folder / "property").write_text(f"{(count - 1) // PER_IDENTITY + 1},112,112\n")
    size, threads = (folder / "train.rec").stat().st_size / 1e6, os.cpu_count() or 1
    judge = decoding_judge(folder)

    def read() -> None:
        forget(folder)
        with (folder / "train.rec").open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass

    def check() -> None:
        forget(folder)
        assert not gather(folder).faults

    def decode() -> None:
        with ThreadPoolExecutor(threads) as pool:
            work = [payloads[i % 200] for i in range(count)]
            parts = [work[i : i + CHUNK] for i in range(0, count, CHUNK)]
            list(
                pool.map(
                    lambda part: [cv2.imdecode(np.frombuffer(p, np.uint8), 1) for p in part], parts
                )
            )

    def check_decoding() -> None:
        assert not gather(folder, judge, num_threads=threads).faults

    seconds = alternate({"read": read, "check": check}, rounds=3)
    seconds |= alternate({"decode": decode, "check, decoding": check_decoding}, rounds=3)
    print(f"{count} crops of {1000 * size / count:.1f} kB")
    for name, limit in (("check", "read"), ("check, decoding", "decode")):
        print(
            f"{name:16} {size / seconds[name]:7.0f} MB/s {count / seconds[name]:8.0f} images/s, "
            f"{seconds[limit] / seconds[name]:.2f} of {limit} alone, "
            f"{size / seconds[limit]:.0f} MB/s"
        )


def measure(folder: str, what: str) -> tuple[float, float]:
    """Return seconds and the process's largest memory in GB."""
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, folder, what]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(map(float, said.split()))


def forget(folder: Path) -> None:
    """Have the system drop the files from its page cache."""
    os.sync()
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make(folder: Path, count: int) -> None:
    """Write a dataset of the published layout with `count` images."""
    identities = -(-count // PER_IDENTITY)
    images = np.zeros(count, RECORD)
    images["magic"], images["word"], images["flag"] = 0xCED7230A, RECORD.itemsize - 8, 2
    images["id"] = np.arange(1, count + 1)
    images["labels"][:, 0], images["labels"][:, 1] = np.arange(count) // PER_IDENTITY, 1
    images["payload"] = 7
    others = np.zeros(1 + identities, BARE)
    others["magic"], others["word"], others["flag"] = 0xCED7230A, BARE.itemsize - 8, 2
    others["id"] = np.append(0, np.arange(count + 1, count + 1 + identities))
    firsts = np.arange(identities) * PER_IDENTITY + 1
    pairs = [(count + 1, count + 1 + identities)]
    pairs += zip(firsts.tolist(), [*firsts[1:].tolist(), count + 1], strict=True)
    for row, pair in enumerate(pairs):
        others["labels"][row], others["id2"][row] = range_record(*pair)
    with (folder / "train.rec").open("wb") as file:
        images.tofile(file)
        others.tofile(file)
    keys = np.concatenate([images["id"], others["id"]]).astype(np.int64)
    spans = np.repeat([RECORD.itemsize, BARE.itemsize], [count, 1 + identities])
    offsets = np.cumsum(spans) - spans
    with (folder / "train.idx").open("w") as file:
        for begin in range(0, len(keys), 1_000_000):
            some = slice(begin, begin + 1_000_000)
            rows = zip(keys[some].tolist(), offsets[some].tolist(), strict=True)
            file.write("".join(f"{key}\t{offset}\n" for key, offset in rows))
    (folder / "property").write_text(f"{identities},112,112\n")


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))

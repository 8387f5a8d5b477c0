"""Images per second of the training loader, without any training.

    python -m benchmarks.loader

2,000 photo-like JPEG crops of 112x112 in a temporary folder, batch 128, mirrored.  Peers:
mx.image.ImageIter (Python, one thread) and MXNet's C++ ImageRecordIter with as many threads;
limit: nothing but decoding the same JPEGs in as many threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
import os
from pathlib import Path
import tempfile

from arcface_mxnet.batches.source import batches
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.ranges import range_record
from arcface_mxnet.data.records import RecordWriter
import cv2
import mxnet as mx
import numpy as np

from .timing import alternate

NUM_IMAGES, BATCH, SIDE = 2_000, 128, 112
THREADS = os.cpu_count() or 1
NUM_BATCHES = NUM_IMAGES // BATCH


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))


def measure(folder: Path) -> None:
    jpegs = write_crops(folder)
    dataset = FaceDataset(folder)
    sources = {
        "ours, mirrored": source(dataset, rand_mirror=1),
        "ours, all augmentation": source(dataset, rand_mirror=1, color=2, cutoff=40, rand_shift=4),
        "ours, one thread": source(dataset, rand_mirror=1, num_threads=1),
    }
    pool = ThreadPoolExecutor(THREADS)
    work = {name: (lambda s=s: list(islice(s, NUM_BATCHES))) for name, s in sources.items()}
    work["decoding alone"] = lambda: list(pool.map(decode, jpegs[: NUM_BATCHES * BATCH]))
    work["mx.image.ImageIter"] = lambda: drain(python_iterator(folder))
    work["ImageRecordIter (C++)"] = lambda: drain(cpp_iterator(folder))
    seconds = alternate(work, rounds=3)
    size = sum(map(len, jpegs)) / len(jpegs)
    print(f"{THREADS} threads, batch {BATCH}, JPEG crops of {size:.0f} bytes")
    limit = seconds["decoding alone"]
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        print(
            f"{name:24}{NUM_BATCHES * BATCH / value:8.0f} images/s  {limit / value:5.2f} of limit"
        )


def write_crops(folder: Path) -> list[bytes]:
    """Write a dataset whose images are as rough as faces; return the JPEGs."""
    rng = np.random.default_rng(0)
    jpegs = []
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key in range(1, NUM_IMAGES + 1):
            layers = [
                cv2.resize(
                    rng.normal(0, 40, (n, n, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
                )
                for n in (4, 14, 56)
            ]
            image = np.clip(128 + layers[0] + layers[1] + 0.3 * layers[2], 0, 255).astype(np.uint8)
            jpegs.append(cv2.imencode(".jpg", image)[1].tobytes())
            writer.write(key, [(key - 1) // 10, 1], jpegs[-1])
        past, identities = NUM_IMAGES + 1, NUM_IMAGES // 10
        writer.write(0, range_record(past, past + identities)[0])
        for i in range(identities):
            writer.write(past + i, range_record(1 + 10 * i, 11 + 10 * i)[0])
    (folder / "property").write_text(f"{identities},{SIDE},{SIDE}\n")
    with RecordWriter(folder / "plain.rec", folder / "plain.idx") as writer:
        for key, jpeg in enumerate(jpegs):  # MXNet's iterators stop at records without an image
            writer.write(key, [key // 10, 1], jpeg)
    return jpegs


def source(dataset: FaceDataset, **options):
    config = TrainConfig(**{"per_batch_size": BATCH, "num_threads": THREADS} | options)
    return batches("shuffled", dataset, config, np.random.default_rng(0))


def decode(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def python_iterator(folder: Path) -> mx.io.DataIter:
    return mx.image.ImageIter(
        BATCH, (3, SIDE, SIDE), label_width=2, path_imgrec=str(folder / "plain.rec"),
        path_imgidx=str(folder / "plain.idx"), shuffle=True, rand_mirror=True,
    )  # fmt: skip


def cpp_iterator(folder: Path) -> mx.io.DataIter:
    return mx.io.ImageRecordIter(
        path_imgrec=str(folder / "plain.rec"), path_imgidx=str(folder / "plain.idx"),
        data_shape=(3, SIDE, SIDE), batch_size=BATCH, label_width=2, shuffle=True,
        rand_mirror=True, preprocess_threads=THREADS,
    )  # fmt: skip


def drain(iterator: mx.io.DataIter) -> None:
    for batch in islice(iterator, NUM_BATCHES):
        batch.data[0].wait_to_read()


if __name__ == "__main__":
    main()

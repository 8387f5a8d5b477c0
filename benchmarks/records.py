"""Reading and writing records: ours (numpy), mxnet.recordio (C++), and the bare file.

    python -m benchmarks.records

20,000 records of 10 kB, as aligned crops are, in a temporary folder; read in random order
from the page cache, the headers of all at once, and written.
"""

from __future__ import annotations

from pathlib import Path
import tempfile

from arcface_mxnet.data.records import RecordReader, RecordWriter
import mxnet as mx
import numpy as np

from .timing import alternate

NUM_RECORDS, PAYLOAD = 20_000, 10_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))


def measure(folder: Path) -> None:
    rng = np.random.default_rng(0)
    payloads = [rng.bytes(PAYLOAD) for _ in range(100)]
    ours, theirs = folder / "ours", folder / "theirs"
    written = alternate(
        {
            "bare": lambda: write_bare(folder / "bare", payloads),
            "mxnet": lambda: write_theirs(theirs, payloads),
            "ours": lambda: write_ours(ours, payloads),
        },
        rounds=3,
    )
    same = ours.with_suffix(".rec").read_bytes() == theirs.with_suffix(".rec").read_bytes()
    keys = rng.permutation(NUM_RECORDS) + 1
    mapped = np.memmap(folder / "bare", np.uint8, "r").reshape(NUM_RECORDS, PAYLOAD)
    reader = RecordReader(f"{ours}.rec", f"{ours}.idx")
    other = mx.recordio.MXIndexedRecordIO(f"{theirs}.idx", f"{theirs}.rec", "r")
    read = alternate(
        {
            "bare": lambda: [mapped[key - 1].tobytes() for key in keys],
            "mxnet": lambda: [mx.recordio.unpack(other.read_idx(key)) for key in keys],
            "ours": lambda: [reader.read(key) for key in keys],
            "headers": lambda: reader.headers(keys),
        },
        rounds=5,
    )
    print(f"{NUM_RECORDS} records of {PAYLOAD} bytes; the two files are the same: {same}")
    print("microseconds per record      bare  mxnet   ours")
    row("write, flushed to the disk", written)
    row("read at random", read)
    print(f"headers of many at once             {1e6 * read['headers'] / NUM_RECORDS:12.2f}")


def row(name: str, seconds: dict[str, float]) -> None:
    each = [1e6 * seconds[who] / NUM_RECORDS for who in ("bare", "mxnet", "ours")]
    print(f"{name:27}" + "".join(f"{value:7.1f}" for value in each))


def write_bare(path: Path, payloads: list[bytes]) -> None:
    with path.open("wb") as file:
        for key in range(NUM_RECORDS):
            file.write(payloads[key % len(payloads)])


def write_theirs(stem: Path, payloads: list[bytes]) -> None:
    writer = mx.recordio.MXIndexedRecordIO(f"{stem}.idx", f"{stem}.rec", "w")
    for key in range(1, NUM_RECORDS + 1):
        header = mx.recordio.IRHeader(0, [1.0, 1.0], key, 0)
        writer.write_idx(key, mx.recordio.pack(header, payloads[key % len(payloads)]))
    writer.close()


def write_ours(stem: Path, payloads: list[bytes]) -> None:
    with RecordWriter(f"{stem}.rec", f"{stem}.idx") as writer:
        for key in range(1, NUM_RECORDS + 1):
            writer.write(key, [1.0, 1.0], payloads[key % len(payloads)])


if __name__ == "__main__":
    main()

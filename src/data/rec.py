"""Look into the records of a dataset: what is there, whether it is whole, the images.

python rec.py info DATASET             what the dataset holds
python rec.py check DATASET            reads and decodes every record, names the bad ones
python rec.py extract DATASET FOLDER   writes the images as FOLDER/IDENTITY/KEY.jpg
python rec.py index FILE.rec           writes FILE.idx anew from the .rec itself
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
import os
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.records import RecordReader
from arcface_mxnet.files import replace_file
import numpy as np
from tqdm import tqdm

FAULTY = 1  # exit code of check when something is wrong
SHOWN_FAULTS = 20
CHUNK = 64  # images that a thread takes at once
ENDINGS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"P5": ".pgm", b"RI": ".webp"}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="rec.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser("info", help="print what a dataset folder holds")
    check = commands.add_parser("check", help="read and decode every record")
    extract = commands.add_parser("extract", help="write the images as files")
    index = commands.add_parser("index", help="write the .idx of a .rec anew")
    for command in (info, check, extract):
        command.add_argument("dataset", help="folder with train.rec, train.idx and property")
    check.add_argument(
        "--sample", type=int, default=0, help="check this many records, spread evenly (0: all)"
    )
    extract.add_argument("folder", help="where to write; made if it is absent")
    extract.add_argument(
        "--identities", default="", help="write only these numbers, comma separated (empty: all)"
    )
    index.add_argument("rec", help="the .rec file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = build_parser().parse_args(argv)
    commands = {"info": _info, "check": _check, "extract": _extract, "index": _index}
    return run(lambda: commands[arguments.command](arguments))


def _info(arguments: argparse.Namespace) -> None:
    dataset = FaceDataset(arguments.dataset)
    counts = np.array([len(keys) for keys in dataset.keys_by_identity])
    size = dataset.records.rec_path.stat().st_size
    height, width = dataset.image_shape
    print(f"images      {len(dataset.image_keys)}, {height} high and {width} wide")
    print(f"identities  {len(counts)} with images, {dataset.num_classes} in property")
    print(
        f"per person  {counts.min()} to {counts.max()}, median {np.median(counts):g}, "
        f"{(counts == 1).sum()} with a single image"
    )
    others = len(dataset.records) - len(dataset.image_keys)
    kind = "1 header + identity records" if dataset.has_ranges else "plain im2rec file, no header"
    print(f"records     {len(dataset.records)} = images + {others} ({kind})")
    if len(dataset.identity_ranges) > len(counts):
        print(
            f"            {len(dataset.identity_ranges)} runs for {len(counts)} identities: the "
            "list was not grouped; training does not mind"
        )
    print(f"bytes       {size} in train.rec, {size / len(dataset.image_keys):.0f} per image")
    print(f"fingerprint {dataset.fingerprint()}")


def _check(arguments: argparse.Namespace) -> int:
    dataset = FaceDataset(arguments.dataset)
    keys = dataset.records.keys
    if 0 < arguments.sample < len(keys):
        keys = np.sort(keys)[np.linspace(0, len(keys) - 1, arguments.sample).astype(int)]
    images = set(dataset.image_keys.tolist())

    def faults_of(chunk: np.ndarray) -> list[str]:
        return [fault for key in chunk.tolist() if (fault := _fault(dataset, key, key in images))]

    chunks = [keys[begin : begin + CHUNK] for begin in range(0, len(keys), CHUNK)]
    faults: list[str] = []
    with (
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        tqdm(total=len(keys), unit=" records", disable=not sys.stderr.isatty()) as bar,
    ):
        for chunk, found in zip(chunks, pool.map(faults_of, chunks), strict=True):
            faults += found
            bar.update(len(chunk))
    for fault in faults[:SHOWN_FAULTS]:
        print(fault)
    if len(faults) > SHOWN_FAULTS:
        print(f"... and {len(faults) - SHOWN_FAULTS} more")
    print(f"{len(keys)} of {len(dataset.records)} records read, {len(faults)} faults")
    return FAULTY if faults else 0


def _fault(dataset: FaceDataset, key: int, is_image: bool) -> str | None:
    """Return what is wrong with a record, or None."""
    try:
        if not is_image:
            dataset.records.read(key)
            return None
        _, identity = dataset.sample(key)
    except ValueError as error:
        return str(error)
    if not 0 <= identity < dataset.num_classes:
        return f"record {key}: identity {identity}, but property says {dataset.num_classes}"
    return None


def _extract(arguments: argparse.Namespace) -> None:
    dataset, out = FaceDataset(arguments.dataset), Path(arguments.folder)
    wanted = {int(part) for part in arguments.identities.split(",") if part.strip()}
    count = 0
    for key in tqdm(_keys_of(dataset, wanted), unit=" images", disable=not sys.stderr.isatty()):
        record = dataset.records.read(key)
        ending = ENDINGS.get(record.payload[:2], ".img")
        with replace_file(out / f"{int(record.first_label):06d}" / f"{key:08d}{ending}") as file:
            file.write(record.payload)
        count += 1
    print(f"wrote {count} images to {out}")


def _keys_of(dataset: FaceDataset, wanted: set[int]) -> Iterator[int]:
    keys = iter(dataset.image_keys.tolist())
    while chunk := list(islice(keys, 10_000)):
        identities = dataset.identities(np.array(chunk)).tolist()
        yield from (k for k, i in zip(chunk, identities, strict=True) if not wanted or i in wanted)


def _index(arguments: argparse.Namespace) -> None:
    rec = Path(arguments.rec)
    with RecordReader(rec) as reader:
        offsets, keys = reader.offsets, reader.keys
    path = rec.with_suffix(".idx")
    with replace_file(path, "w", newline="\n") as file:
        pairs = zip(keys.tolist(), offsets.tolist(), strict=True)
        file.writelines(f"{key}\t{offset}\n" for key, offset in pairs)
    print(f"wrote {path}: {len(keys)} records")


if __name__ == "__main__":
    sys.exit(main())

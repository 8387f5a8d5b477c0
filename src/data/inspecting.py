"""What `arcface-rec` info, check and extract do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
import os
from pathlib import Path
import sys

import numpy as np
from tqdm import tqdm

from ..files import replace_file
from ..new_folder import new_folder
from .contradictions import SHOWN
from .dataset import FaceDataset, read_property
from .facts import gather
from .identity_lists import numbers_of, read_names
from .image_files import HEAD, ending_of
from .images import decode_bgr, fit_height
from .scan import Judge

FAULTY = 1  # exit code of check when something is wrong
KINDS = {
    "ranges": "1 header + identity records",
    "count": "1 header of another writer, without identity records",
    "plain": "plain im2rec file, no header",
}


def info(arguments: argparse.Namespace) -> None:
    """Print what a dataset holds."""
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
    kind = KINDS[dataset.layout.kind]
    print(f"records     {len(dataset.records)} = images + {others} ({kind})")
    if len(dataset.identity_ranges) > len(counts):
        print(
            f"            {len(dataset.identity_ranges)} runs for {len(counts)} identities: the "
            "list was not grouped; training does not mind"
        )
    print(f"bytes       {size} in train.rec, {size / len(dataset.image_keys):.0f} per image")
    print(f"fingerprint {dataset.fingerprint()}")


def check(arguments: argparse.Namespace) -> int:
    """Compare and decode, print what is wrong, return the exit code."""
    if arguments.sample > 0:
        if arguments.no_decode:
            raise ValueError("--no-decode: --sample is there to decode some; leave out one of them")
        return _check_some(arguments)
    judge = None if arguments.no_decode else decoding_judge(arguments.dataset)
    facts = gather(
        arguments.dataset,
        judge,
        num_threads=os.cpu_count() or 1,
        progress=sys.stderr.isatty(),
    )
    for fault in name_faults(arguments.dataset, facts.num_classes or 0):
        facts.faults.add([fault], "train.names is of another dataset, or damaged: bring its own")
    if facts.faults:
        print(facts.faults)
    count, sizes = len(facts.keys), facts.scan.headers["size"][facts.roles.images]
    total = count if facts.index is None else max(count, len(facts.index[0]))
    decoded = "not decoded" if arguments.no_decode else "decoded"
    images = int((sizes > 0).sum())
    print(
        f"{count} of {total} records read, {facts.faults.count} faults; {images} images {decoded}"
    )
    return FAULTY if facts.faults else 0


def name_faults(folder: str | os.PathLike, num_classes: int) -> Iterator[str]:
    """Yield what is wrong with the names of identities.  num_classes: of property, 0: unknown."""
    path = Path(folder) / "train.names"
    try:
        names = read_names(path)
    except ValueError as error:
        yield str(error)
        return
    beyond = [number for number in names if 0 < num_classes <= number]
    if beyond:
        yield (
            f"{path} names identity {beyond[0]}, and {len(beyond)} such, but property says "
            f"{num_classes} identities, numbered from 0"
        )


def decoding_judge(folder: str | os.PathLike) -> Judge:
    """Return what tells why an image of a folder does not decode to the size of property."""
    try:
        _, shape = read_property(Path(folder) / "property")
    except (ValueError, OSError):  # told elsewhere
        shape = None

    def judge(payload: bytes) -> str | None:
        try:
            image = decode_bgr(bytes(payload), "@")
            if shape is not None:
                fit_height(image, shape, "@")
        except ValueError as error:
            return str(error).removeprefix("@: ")
        return None

    return judge


def _check_some(arguments: argparse.Namespace) -> int:
    dataset = FaceDataset(arguments.dataset)
    keys = dataset.image_keys
    if arguments.sample < len(keys):
        keys = keys[np.linspace(0, len(keys) - 1, arguments.sample).astype(int)]
    faults = []
    for key in tqdm(keys.tolist(), unit=" images", disable=not sys.stderr.isatty()):
        try:
            dataset.sample(key)
        except ValueError as error:
            faults.append(str(error))
    for fault in faults[:SHOWN]:
        print(fault)
    if len(faults) > SHOWN:
        print(f"... and {len(faults) - SHOWN} more")
    print(f"{len(keys)} of {len(dataset.image_keys)} images decoded, {len(faults)} faults")
    return FAULTY if faults else 0


def extract(arguments: argparse.Namespace) -> None:
    """Write the images as files."""
    dataset, out = FaceDataset(arguments.dataset), Path(arguments.folder)
    if out.is_dir() and any(out.iterdir()) and not arguments.overwrite:
        raise ValueError(f"{out} is not empty; choose another folder, or give --overwrite")
    wanted = numbers_of(arguments.identities)
    _refuse_absent(dataset, wanted)
    place = nullcontext(out) if arguments.overwrite else new_folder(out)
    with place as folder:
        count = _write_images(dataset, wanted, folder)
    print(f"wrote {count} images to {out}")


def _write_images(dataset: FaceDataset, wanted: set[int], folder: Path) -> int:
    keys, count = _keys_of(dataset, wanted), 0
    total = None if wanted else len(dataset.image_keys)
    for key in tqdm(keys, total=total, unit=" images", disable=not sys.stderr.isatty()):
        record = dataset.records.read(key)
        path = folder / f"{int(record.first_label):06d}" / f"{key:08d}"
        ending = ending_of(record.payload[:HEAD])
        with replace_file(path.with_suffix(ending), sync=False) as file:
            file.write(record.payload)
        count += 1
    return count


def _refuse_absent(dataset: FaceDataset, wanted: set[int]) -> None:
    """Raise ValueError for wanted identities without an image."""
    if wanted:
        there = set(dataset.identities(dataset.identity_ranges[:, 0]).tolist())
        if absent := sorted(wanted - there):
            raise ValueError(
                f"--identities {absent[0]}: {dataset.folder} has no image of it; {len(absent)} such"
            )


def _keys_of(dataset: FaceDataset, wanted: set[int]) -> Iterator[int]:
    keys = iter(dataset.image_keys.tolist())
    while chunk := list(islice(keys, 10_000)):
        identities = dataset.identities(np.array(chunk)).tolist()
        yield from (k for k, i in zip(chunk, identities, strict=True) if not wanted or i in wanted)

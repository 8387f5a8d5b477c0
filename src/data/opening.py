"""What is compared when a dataset is opened: little of the file, so that it takes a moment.

The index with the file (records.py), record 0, all identity records, and the headers of images
spread evenly.  `arcface-rec check` compares everything.
"""

from __future__ import annotations

import logging

import numpy as np

from .contradictions import (
    Cures,
    Faults,
    id_faults,
    label_faults,
    missing_keys,
    range_label_faults,
    tile_faults,
)
from .labels import whole_numbers
from .offsets import descents, in_file_order
from .ranges import Layout
from .records import RecordReader

SAMPLE = 10_000  # images whose headers are read

log = logging.getLogger(__name__)


def opening_faults(
    reader: RecordReader, layout: Layout, ranges: np.ndarray | None, num_classes: int, cures: Cures
) -> Faults:
    """Return what contradicts itself in the index, the identity records and SAMPLE images.

    ranges: int64 (K, 2), of kind "ranges".
    """
    faults = Faults()
    past_last = layout.num_images + 1
    if layout.kind == "plain":
        images = _spread(reader.sorted_keys)
        past_last = int(reader.sorted_keys[-1]) + 1
    else:
        images = _spread(np.arange(1, past_last))
    in_order, offsets = in_file_order(reader.keys, reader.offsets)
    images = np.union1d(images, _spread(descents(in_order, past_last).ravel()))
    if ranges is not None:
        ranges = tile_faults(faults, ranges, layout.start, layout.num_images, cures)
        images = np.union1d(images, _ends_around(images, ranges))
    if faults:  # what follows would only say it again
        return faults
    at = reader.offsets_of(images)
    reader.read_ahead(at)
    wrong: dict[int, str] = {}
    headers = reader.headers(images, wrong)
    faults.add(wrong.values(), cures.skip)
    sound = headers["size"] >= 0
    images, headers, at = images[sound], headers[sound], at[sound]
    labels = headers["labels"][:, 0]
    _warn_of_empty(images[headers["size"] == 0], reader, cures)
    id_faults(faults, images, headers["id"], cures)
    _gap_faults(faults, images, at + headers["span"], offsets, cures)
    label_faults(faults, images, labels, num_classes, cures)
    if ranges is not None:
        sound = whole_numbers(labels)[1] & (labels < num_classes)  # others are told as labels
        range_label_faults(faults, ranges, layout.start, images[sound], labels[sound], cures)
    return faults


def _warn_of_empty(keys: np.ndarray, reader: RecordReader, cures: Cures) -> None:
    if len(keys):
        log.warning(
            "%s: record %d has no image, 0 bytes; %d such among those looked at; %s",
            reader.rec_path, keys[0], len(keys), cures.skip,
        )  # fmt: skip


def _spread(keys: np.ndarray) -> np.ndarray:
    """Return at most SAMPLE of the keys, spread evenly."""
    if len(keys) <= SAMPLE:
        return keys
    return keys[np.linspace(0, len(keys) - 1, SAMPLE).astype(np.int64)]


def key_faults(reader: RecordReader, layout: Layout, cures: Cures) -> Faults:
    """Return which keys that record 0 says are absent from the index."""
    faults = Faults()
    if layout.kind == "plain":
        return faults
    parts = ((1, layout.num_images + 1, "images"), (layout.start, layout.end, "identity records"))
    for first, past_last, noun in parts:
        count, missing = missing_keys(reader.sorted_keys, first, past_last)
        if count:
            text = (
                f"the index has no key {missing}, one of the {noun} {first} to {past_last - 1} "
                f"that record 0 says; {count} such"
            )
            faults.add([text], cures.repair)
    if reader.sorted_keys[0] < 0:
        faults.add([f"the index has the key {reader.sorted_keys[0]}, below 0"], cures.repair)
    return faults


def _ends_around(images: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Return first and last image of the ranges that hold some of the images."""
    if not len(ranges):
        return images[:0]
    first = np.sort(ranges[:, 0])
    rows = np.argsort(ranges[:, 0], kind="stable")
    held = np.unique(np.maximum(np.searchsorted(first, images, "right") - 1, 0))
    return np.concatenate([ranges[rows[held], 0], ranges[rows[held], 1] - 1])


def _gap_faults(
    faults: Faults, keys: np.ndarray, ends: np.ndarray, offsets: np.ndarray, cures: Cures
) -> None:
    """Compare where records end with where the next one of the index begins; offsets: sorted."""
    place = np.searchsorted(offsets, ends)
    following = offsets[np.minimum(place, len(offsets) - 1)]
    faults.add_at(
        np.flatnonzero((following != ends) & (place < len(offsets))),
        lambda i: (
            f"record {keys[i]} ends at byte {ends[i]}, but the next record of the index "
            f"begins at byte {following[i]}"
        ),
        cures.repair,
    )

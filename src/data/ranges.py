"""Which keys belong to which identity, as the records of a face dataset say it.

Record 0 holds [N + 1, N + 1 + K]: the keys of the K identity records, after N images.  An
identity record holds [first, past last], the keys of its images.  These are float32, exact
only up to 2^24; beyond, this project also writes them as id2 = first << 32 | past_last,
and without that (files of other tools) they are recomputed from the images' labels.
"""

from __future__ import annotations

import logging

import numpy as np

from .records import RecordReader

EXACT = 1 << 24  # every whole number up to here is a float32
log = logging.getLogger(__name__)


def range_record(first: int, past_last: int) -> tuple[list[float], int]:
    """Return labels and id2 of a record that holds the keys first <= key < past_last."""
    id2 = first << 32 | past_last if past_last > EXACT else 0
    return [float(first), float(past_last)], id2


def has_ranges(reader: RecordReader) -> bool:
    """Return whether record 0 is a header of ranges, not an image or absent (plain im2rec)."""
    if 0 not in reader:
        return False
    header = reader.headers([0])[0]
    return bool(header["flag"] == 2 and header["size"] == 0)


def read_ranges(reader: RecordReader) -> np.ndarray:
    """Return the key ranges of the identities, int64 (K, 2): first and past last image key.

    Raises ValueError if the ranges do not fit the records.
    """
    headers = reader.headers([0])
    start, end = _exact(headers)[0] if headers["id2"][0] else _repair_header(reader, headers[0])
    if not 1 <= start < end or end - 1 not in reader or start not in reader:
        raise ValueError(
            f"{reader.rec_path}: record 0 says that identities have the keys {start} to "
            f"{end - 1}, but the keys go from {reader.keys.min()} to {reader.keys.max()}; "
            "the file is damaged or packing was interrupted, pack it again"
        )
    headers = reader.headers(np.arange(start, end))
    ranges = _exact(headers)
    inexact = (ranges[:, 1] > EXACT) & (headers["id2"] == 0)
    if inexact.any():
        ranges = _repair(reader, ranges, int(inexact.argmax()), start)
    bad = (ranges[:, 0] < 1) | (ranges[:, 0] >= ranges[:, 1]) | (ranges[:, 1] > start)
    if bad.any():
        place = int(bad.argmax())
        raise ValueError(
            f"{reader.rec_path}: record {start + place} says that identity {place} has the images "
            f"{ranges[place, 0]} to {ranges[place, 1] - 1} of {start - 1}; the file is damaged, "
            "pack it again"
        )
    return ranges


def keys_in(ranges: np.ndarray) -> np.ndarray:
    """Return every key in the ranges (K, 2), range by range, int64 (N,)."""
    lengths = ranges[:, 1] - ranges[:, 0]
    before = np.cumsum(lengths) - lengths
    return np.repeat(ranges[:, 0] - before, lengths) + np.arange(lengths.sum())


def runs(labels: np.ndarray) -> np.ndarray:
    """Return begin and end of each run of equal labels, int64 (R, 2)."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    return np.stack([edges[:-1], edges[1:]], axis=1).astype(np.int64)


def _exact(headers: np.ndarray) -> np.ndarray:
    """Return the ranges in the headers, from id2 where it is given, int64 (K, 2)."""
    id2 = headers["id2"]
    given = np.stack([id2 >> np.uint64(32), id2 & np.uint64(0xFFFFFFFF)], axis=1)
    return np.where(id2[:, None] > 0, given.astype(np.int64), headers["labels"].astype(np.int64))


def _repair_header(reader: RecordReader, header: np.void) -> tuple[int, int]:
    """Return first and past-last identity key; rounded ones are found in the records."""
    start, end = (int(value) for value in header["labels"])
    if end <= EXACT:
        return start, end
    end = int(reader.keys.max()) + 1
    spacing = int(np.spacing(header["labels"][0]))
    near = np.arange(start - spacing, min(start + spacing + 1, end))
    empty = reader.headers(near)["size"] == 0
    return int(near[empty.argmax()]), end


def _repair(reader: RecordReader, ranges: np.ndarray, place: int, end: int) -> np.ndarray:
    """Return ranges with those from `place` on recomputed from the labels of the images."""
    begin = int(ranges[place - 1, 1]) if place else 1
    labels = reader.headers(np.arange(begin, end))["labels"][:, 0]
    found = begin + runs(labels)
    given = ranges[place:]
    if len(found) != len(given) or not np.array_equal(
        found.astype(np.float32), given.astype(np.float32)
    ):
        raise ValueError(
            f"{reader.rec_path}: keys above {EXACT} are rounded in the identity records and do "
            "not fit the labels of the images; pack it again with face2rec2.py"
        )
    log.info("%s: recomputed %d ranges rounded above %d", reader.rec_path, len(found), EXACT)
    return np.concatenate([ranges[:place], found])

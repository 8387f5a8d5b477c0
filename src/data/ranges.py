"""Which keys belong to which identity, as the records of a face dataset say it.

Record 0 holds [N + 1, N + 1 + K]: the keys of the K identity records, after N images.  An
identity record holds [first, past last], the keys of its images.  These are float32, exact
only up to 2^24; beyond, this project also writes them as id2 = first << 32 | past_last,
and without that (files of other tools) they are recomputed from the images' labels.
"""

from __future__ import annotations

from dataclasses import dataclass
import logging
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .records import RecordReader

EXACT = 1 << 24  # every whole number up to here is a float32
log = logging.getLogger(__name__)


def range_record(first: int, past_last: int) -> tuple[list[float], int]:
    """Return labels and id2 of a record that holds the keys first <= key < past_last."""
    id2 = first << 32 | past_last if past_last > EXACT else 0
    return [float(first), float(past_last)], id2


@dataclass(frozen=True)
class Layout:
    """What the keys of a file mean.

    kind: "ranges" has images 1..num_images and identity records start <= key < end; "count" the
    images, and a record 0 of other writers that says [N + 1, number of identities], with or
    without a payload; "plain" (im2rec) has no record 0 of this kind, every record is an image.
    declared: the number of identities that record 0 of kind "count" says, else None.
    """

    kind: str
    num_images: int
    start: int = 0
    end: int = 0
    declared: int | None = None


def layout_of(reader: RecordReader) -> Layout:
    """Return what record 0 and the keys say.  Raises ValueError if they contradict each other."""
    plain = Layout("plain", len(reader))
    if 0 not in reader:
        return plain
    header, top = reader.headers([0])[0], int(reader.sorted_keys[-1])
    if header["flag"] != 2:
        return plain
    labels = header["labels"]
    counts = labels[0] == np.float32(top + 1) and not header["id2"] and _is_image(reader, top)
    if counts and (header["size"] == 0 or labels[1] > 1):  # an image's second label is 0 or 1
        # Some of them write the end of the identity records, and then none.
        given = int(labels[1]) if np.isfinite(labels[1]) else 0
        return Layout("count", top, top + 1, top + 1, given - top - 1 if given > top else given)
    if np.isfinite(labels).all():
        start, end = ranges_in(header[None])[0] if header["id2"] else _repair_header(reader, header)
        if 1 <= start < end == top + 1:
            return Layout("ranges", int(start) - 1, int(start), int(end))
    if header["size"] > 0:
        return plain
    raise ValueError(
        f"{reader.rec_path}: record 0 says that identities have the keys {labels[0]:.0f} to "
        f"{labels[1] - 1:.0f}, but the keys go from {reader.sorted_keys[0]} to {top}; "
        f"`arcface-rec repair {reader.rec_path.parent}` writes it anew from the labels"
    )


def _is_image(reader: RecordReader, key: int) -> bool:
    """Tell whether a record is no identity record, where float32 leaves its number open."""
    header = reader.headers([key])
    first, second = ranges_in(header)[0]
    return key > 0 and not (header["flag"][0] == 2 and 1 <= first < second)


def read_ranges(reader: RecordReader, layout: Layout) -> np.ndarray:
    """Return the key ranges that the identity records hold, int64 (K, 2): first and past last
    image key, those that float32 rounded from the labels of the images.

    Raises ValueError if rounded ranges do not fit the labels.
    """
    headers = reader.headers(np.arange(layout.start, layout.end))
    ranges = ranges_in(headers)
    inexact = (ranges[:, 1] > EXACT) & (headers["id2"] == 0)
    if inexact.any():
        ranges = _repair(reader, ranges, int(inexact.argmax()), layout.start)
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


def ranges_in(headers: np.ndarray) -> np.ndarray:
    """Return the ranges in the headers, from id2 where it is given, int64 (K, 2)."""
    id2 = headers["id2"]
    given = np.stack([id2 >> np.uint64(32), id2 & np.uint64(0xFFFFFFFF)], axis=1)
    labels = np.clip(np.nan_to_num(headers["labels"].astype(np.float64), nan=-1), -1, 1 << 53)
    return np.where(id2[:, None] > 0, given.astype(np.int64), labels.astype(np.int64))


def _repair_header(reader: RecordReader, header: np.void) -> tuple[int, int]:
    """Return first and past-last identity key; rounded ones are found in the records."""
    start, end = (int(value) for value in header["labels"])
    if end <= EXACT:
        return start, end
    end = int(reader.sorted_keys[-1]) + 1
    spacing = int(np.spacing(header["labels"][0]))
    near = np.arange(max(start - spacing, 1), min(start + spacing + 1, end))
    near = near[np.isin(near, reader.sorted_keys)]
    empty = reader.headers(near)["size"] == 0
    return (int(near[empty.argmax()]) if empty.any() else start), end


def _repair(reader: RecordReader, ranges: np.ndarray, place: int, end: int) -> np.ndarray:
    """Return ranges with those from `place` on recomputed from the labels of the images."""
    begin = int(ranges[place - 1, 1]) if place else 1
    labels = reader.headers(np.arange(begin, end))["labels"][:, 0]
    found = begin + runs(labels)
    given = ranges[place:]
    # Neighbouring ranges of one label are one run, so that there may be more of them.
    if not np.isin(found.astype(np.float32), given.astype(np.float32)).all():
        raise ValueError(
            f"{reader.rec_path}: keys above {EXACT} are rounded in the identity records and do "
            f"not fit the labels of the images; `arcface-rec repair {reader.rec_path.parent}` "
            "writes them anew from the labels"
        )
    log.info("%s: recomputed %d ranges rounded above %d", reader.rec_path, len(found), EXACT)
    return np.concatenate([ranges[:place], found])

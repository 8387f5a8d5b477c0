"""What the records of a file are, told by what they hold: images, the header, identity records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ranges import ranges_in


@dataclass(frozen=True)
class Roles:
    """Rows of a table of headers.  images, ranges: int64, in the order of the file.  header: the
    row of record 0, or None."""

    images: np.ndarray
    ranges: np.ndarray
    header: int | None


def roles_of(headers: np.ndarray) -> Roles:
    """Return what each record is, from headers as headers_at gives them.

    An identity record, or record 0 before some, has two labels, 1 <= first < second, and no
    payload.  An image's second label is 0 or 1.  Damaged headers are nothing.
    """
    two = (headers["flag"] == 2) & (headers["size"] >= 0)
    pairs = ranges_in(headers)
    like_ranges = two & (headers["size"] == 0) & (pairs[:, 0] >= 1) & (pairs[:, 1] > pairs[:, 0])
    ranges = np.flatnonzero(like_ranges)
    header = _before_ranges(headers, pairs, ranges) if len(ranges) else _alone(headers, pairs, two)
    like_ranges[[] if header is None else header] = True
    images = np.flatnonzero(~like_ranges & (headers["size"] >= 0))
    return Roles(images, ranges[ranges != header] if header is not None else ranges, header)


def _before_ranges(headers: np.ndarray, pairs: np.ndarray, ranges: np.ndarray) -> int | None:
    """Return the row of record 0: by its id, or because all images lie before what it says."""
    named = ranges[headers["id"][ranges] == 0]
    if len(named) == 1:
        return int(named[0])
    others = pairs[ranges[1:]]
    is_first = len(others) and pairs[ranges[0], 0] >= others[:, 1].max()
    return int(ranges[0]) if is_first else None


def _alone(headers: np.ndarray, pairs: np.ndarray, two: np.ndarray) -> int | None:
    """Return the row of a record 0 without identity records: the first or last of the file, that
    counts the others, or is empty with an id of 0."""
    for row in dict.fromkeys((0, len(headers) - 1)) if len(headers) else ():
        counts = headers["labels"][row, 0] == np.float32(len(headers)) and len(headers) > 1
        is_empty = headers["size"][row] == 0
        is_lost = is_empty and headers["id"][row] == 0
        # An image's second label is 0 or 1.
        if two[row] and (counts and is_empty or (counts or is_lost) and pairs[row, 1] > 1):
            return row
    return None


def own_keys(headers: np.ndarray, roles: Roles) -> np.ndarray:
    """Return the keys that records have without an index, int64 (n,): their ids, or, where those
    repeat or do not fit, their order; -1 for damaged ones."""
    ids = np.where(headers["id"] < 1 << 62, headers["id"], 0).astype(np.int64)
    keys = np.full(len(headers), -1, np.int64)
    rows = np.flatnonzero(headers["size"] >= 0)
    ids = ids[rows]
    in_order = np.sort(ids)
    are_unique = not (np.diff(in_order) == 0).any()
    has_header = roles.header is not None or len(roles.ranges) > 0
    if are_unique and (not has_header or np.array_equal(in_order, np.arange(len(ids)))):
        keys[rows] = ids
    elif has_header:
        count = len(roles.images)
        keys[roles.images] = np.arange(1, count + 1)
        keys[roles.ranges] = np.arange(count + 1, count + 1 + len(roles.ranges))
        keys[[] if roles.header is None else roles.header] = 0
    else:
        keys[rows] = np.arange(len(rows))
    return keys

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
    payload.  An image's second label is 0 or 1.  Damaged headers are nothing, nor are records
    without a payload whose labels are neither.
    """
    two = headers["flag"] == 2
    rows = np.flatnonzero(two & (headers["size"] == 0))  # few, where all images have bytes
    pairs = ranges_in(headers[rows])
    is_image = headers["size"] >= 0
    is_image[rows[pairs[:, 1] > 1]] = False
    like_ranges = (pairs[:, 0] >= 1) & (pairs[:, 1] > pairs[:, 0])
    rows, pairs = rows[like_ranges], pairs[like_ranges]
    header = _before_ranges(headers, pairs, rows) if len(rows) else _alone(headers)
    if header is not None:
        is_image[header] = False
        rows = rows[rows != header]
    return Roles(np.flatnonzero(is_image), rows, header)


def _before_ranges(headers: np.ndarray, pairs: np.ndarray, rows: np.ndarray) -> int | None:
    """Return the row of record 0 among those with such pairs: by its id, or because all images
    lie before what it says."""
    named = rows[headers["id"][rows] == 0]
    if len(named) == 1:
        return int(named[0])
    is_first = len(rows) > 1 and pairs[0, 0] >= pairs[1:, 1].max()
    return int(rows[0]) if is_first else None


def _alone(headers: np.ndarray) -> int | None:
    """Return the row of a record 0 without identity records: the first or last of the file, that
    counts the others, is empty with an id of 0, or has labels that no other record has."""
    for row in dict.fromkeys((0, len(headers) - 1)) if len(headers) else ():
        flag, id_, _, (first, second), size, _ = headers[row]
        counts = first == np.float32(len(headers)) and len(headers) > 1
        is_lost = (size == 0 and id_ == 0) or _is_unlike_others(headers, row)
        # An image's second label is 0 or 1.
        is_header = (counts and size == 0) or ((counts or is_lost) and second > 1)
        if flag == 2 and size >= 0 and is_header:
            return row
    return None


def _is_unlike_others(headers: np.ndarray, row: int) -> bool:
    """Tell whether a record alone has a second label above 1, which no image has: a record 0 with
    a picture, whose number of records is wrong, or of a file that is cut off."""
    above = np.flatnonzero(headers["labels"][:, 1] > 1)
    return len(headers) > 1 and above.tolist() == [row]


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

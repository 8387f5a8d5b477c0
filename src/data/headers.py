"""What records say of themselves, many at once: the fixed fields in front of their payloads."""

from __future__ import annotations

import struct

import numpy as np

from .framing import MAGIC, MAX_LENGTH, unframed

HEADER = struct.Struct("<IfQQ")
# What a record in one piece begins with.
_FIXED = np.dtype("<u4, <u4, <u4, <f4, <u8, <u8, (2,)<f4")
_FIXED.names = ("magic", "word", "flag", "label", "id", "id2", "labels")
_FRAME = 8  # bytes of the frame in front of the content
SUMMARY = np.dtype("<u4, <u8, <u8, (2,)<f4, <i8, <i8")
SUMMARY.names = ("flag", "id", "id2", "labels", "size", "span")
_AT_ONCE = 1 << 16  # records whose bytes are gathered in one go


def headers_at(
    buffer: np.ndarray, offsets: np.ndarray, file: object, names: object
) -> tuple[np.ndarray, dict[int, str]]:
    """Return the headers of the records that begin at offsets of a buffer of uint8, and what is
    wrong with those that have none, by their places.

    Structured (K,): flag, id, id2, labels (the first two, 0 where there are fewer), size of the
    payload and span of all its frames in bytes; size -1 where there is no header, span 0 where
    there is no frame.
    names[place] and file are what a record and its file are called in messages.
    """
    out = np.zeros(len(offsets), SUMMARY)
    faults: dict[int, str] = {}
    for begin in range(0, len(offsets), _AT_ONCE):
        part = out[begin : begin + _AT_ONCE]
        some = offsets[begin : begin + _AT_ONCE]
        for place in np.flatnonzero(~_whole(buffer, some, part)).tolist():
            part["size"][place] = -1
            try:
                _single(buffer, int(some[place]), part, place, file, names[begin + place])
            except ValueError as error:
                faults[begin + place] = str(error)
    return out, faults


def _whole(buffer: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Fill in the headers of records in one piece, and return which those are."""
    whole = (offsets >= 0) & (offsets + _FIXED.itemsize <= len(buffer))
    fixed = buffer[offsets[whole, None] + np.arange(_FIXED.itemsize)].view(_FIXED)[:, 0]
    length = fixed["word"].astype(np.int64)  # the part number above it is 0 in whole records
    size = length - HEADER.size - 4 * fixed["flag"].astype(np.int64)
    span = _FRAME + (length + 3 & ~3)
    simple = (fixed["magic"] == MAGIC) & (length <= MAX_LENGTH) & (size >= 0)
    simple &= offsets[whole] + span <= len(buffer)
    whole[whole] = simple
    fixed = fixed[simple]
    for name in ("flag", "id", "id2"):
        out[name][whole] = fixed[name]
    labels = np.where(fixed["flag"][:, None] > np.arange(2), fixed["labels"], 0)
    alone = fixed["flag"] == 0
    labels[alone, 0] = fixed["label"][alone]
    out["labels"][whole], out["size"][whole] = labels, size[simple]
    out["span"][whole] = span[simple]
    return whole


def _single(
    buffer: np.ndarray, offset: int, out: np.ndarray, place: int, file: object, name: str
) -> None:
    """Fill in the header of any record.  Raises ValueError for one that has none."""
    content, end = unframed(memoryview(buffer), offset, file, name)
    out["span"][place] = end - offset
    flag, labels, id_, id2, start = fields_of(content, file, name)
    labels = np.resize(np.append(labels[:2], np.float32(0)), 2)
    out[place] = flag, id_, id2, labels, len(content) - start, end - offset


def fields_of(content: bytes, file: object, name: str) -> tuple[int, np.ndarray, int, int, int]:
    """Return flag, labels float32 (1 or flag,), id, id2 and where the payload of a record begins.

    Raises ValueError, with file and name as the record's names, if it is too short for them.
    """
    if len(content) < HEADER.size:
        raise ValueError(f"{file}: {name} is too short for a header")
    flag, label, id_, id2 = HEADER.unpack_from(content)
    start = HEADER.size + 4 * flag
    if start > len(content):
        raise ValueError(f"{file}: {name} is too short for its {flag} labels")
    labels = np.frombuffer(content, "<f4", flag, HEADER.size) if flag else np.float32([label])
    return flag, labels, id_, id2, start


class Names:
    """Names of records in messages, made when they are asked for: "record KEY"."""

    def __init__(self, keys: np.ndarray, noun: str = "record"):
        self._keys, self._noun = keys, noun

    def __getitem__(self, place: int) -> str:
        return f"{self._noun} {int(self._keys[place])}"

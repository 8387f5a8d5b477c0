"""RecordIO's frame around the content of a record, as dmlc-core's recordio.h has it.

A .rec file is a row of frames.  Each begins on a multiple of 4 bytes (little-endian):

    uint32 0xced7230a | uint32 part << 29 | length | length bytes | zeros up to 4 bytes

part is 0 for a record in one piece.  Where the content holds the magic word itself, on a
multiple of 4 bytes, the word is left out and the record is cut there: part 1 begins, 2
continues, 3 ends it.
"""

from __future__ import annotations

import struct

MAGIC = 0xCED7230A
MAX_LENGTH = (1 << 29) - 1
REBUILD = "rebuild the index with `arcface-rec index REC`"

_MAGIC_BYTES = struct.pack("<I", MAGIC)
_PART = struct.Struct("<II")
_WHOLE, _BEGIN, _MIDDLE, _END = range(4)


def framed(content: bytes) -> bytes:
    """Return the frames of a record.  Raises ValueError if it is too long for the format."""
    if len(content) > MAX_LENGTH:
        raise ValueError(f"a record of {len(content)} bytes; the most is {MAX_LENGTH}")
    frames, begin, part = [], 0, _BEGIN
    cut = content.find(_MAGIC_BYTES)
    while cut >= 0:
        if cut % 4 == 0:
            frames.append(_frame(part, content[begin:cut]))
            begin, part = cut + 4, _MIDDLE
        cut = content.find(_MAGIC_BYTES, begin if cut % 4 == 0 else cut + 1)
    frames.append(_frame(_WHOLE if part == _BEGIN else _END, content[begin:]))
    return b"".join(frames)


def _frame(part: int, piece: bytes) -> bytes:
    return _PART.pack(MAGIC, part << 29 | len(piece)) + piece + b"\0" * (-len(piece) % 4)


def unframed(buffer: bytes, offset: int, file: object, name: str) -> tuple[bytes, int]:
    """Return the content of the record whose frames begin at offset, and where they end.

    file and name are what the file and the record are called in messages.  Raises ValueError
    with the cure if no record begins there, or the buffer ends in it.
    """
    pieces, expected, at = [], (_WHOLE, _BEGIN), offset
    while True:
        begin = at + _PART.size
        if offset < 0 or begin > len(buffer):
            raise ValueError(_cut_off(buffer, file, name, begin))
        magic, word = _PART.unpack_from(buffer, at)
        part, end = word >> 29, begin + (word & MAX_LENGTH)
        if magic != MAGIC or part not in expected:
            raise ValueError(
                f"{file}: no record begins at byte {at}, where {name} should be; the index "
                f"belongs to another .rec or that is damaged; {REBUILD}, or fetch it again, or "
                "leave such records out: `arcface-rec copy FOLDER NEW --skip-bad`"
            )
        if end > len(buffer):
            raise ValueError(_cut_off(buffer, file, name, end))
        pieces.append(buffer[begin:end])
        at = end + (begin - end) % 4
        if part in (_WHOLE, _END):
            return _MAGIC_BYTES.join(pieces), at
        expected = (_MIDDLE, _END)


def is_cut_off(buffer: bytes, at: int) -> bool:
    """Tell whether a record begins at byte `at` that the end of the buffer cuts off."""
    expected = (_WHOLE, _BEGIN)
    while at + _PART.size <= len(buffer):
        magic, word = _PART.unpack_from(buffer, at)
        if magic != MAGIC or word >> 29 not in expected:
            return False
        at += _PART.size + (word & MAX_LENGTH)
        if at <= len(buffer) and word >> 29 in (_WHOLE, _END):
            return at + -at % 4 > len(buffer)
        at += -at % 4
        expected = (_MIDDLE, _END)
    return at >= len(buffer) or buffer[at : at + 4] == _MAGIC_BYTES[: len(buffer) - at]


def _cut_off(buffer: bytes, file: object, name: str, needed: int) -> str:
    return (
        f"{file}: has {len(buffer)} bytes, but {name} reaches to byte {needed}; the file is cut "
        "off or the index belongs to another .rec; fetch or pack it again, or keep what is whole: "
        "`arcface-rec index REC`"
    )

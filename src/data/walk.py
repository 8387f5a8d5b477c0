"""The records of a .rec file in the order of the file, found without its index.

Damaged bytes are passed over.  Nothing but the beginning of a frame holds the magic word on a
multiple of 4 bytes, so the next one is where records go on; a record that such a beginning falls
into had a wrong length and belongs to the damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import os
from pathlib import Path
import struct
from typing import BinaryIO

import numpy as np

from .framing import MAGIC, MAX_LENGTH, unframed
from .headers import Names, headers_at

BLOCK = 1 << 24  # bytes that are read in one go
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_PART = struct.Struct("<II")
_BEGIN, _MIDDLE, _END = 1, 2, 3
_LEFT = 8  # bytes of a frame in front of its content


@dataclass(frozen=True)
class Damage:
    """Bytes begin <= byte < end of a file that belong to no record.  is_cut_off: the file ends
    in a record, which began at begin."""

    begin: int
    end: int
    is_cut_off: bool = False


@dataclass(frozen=True)
class Stretch:
    """Some records that follow each other, in memory.

    begin: where the buffer, (B,) uint8, begins in the file.  places: int64 (n,) where the records
    begin in the buffer.  headers: as headers_at gives them.  faults: of headers, by place.
    damage: between them or after the last.  past: bytes of the file that are done with it.
    """

    begin: int
    buffer: np.ndarray
    places: np.ndarray
    headers: np.ndarray
    faults: dict[int, str]
    damage: tuple[Damage, ...]
    past: int

    @property
    def offsets(self) -> np.ndarray:
        """Where the records begin in the file, int64 (n,)."""
        return self.begin + self.places

    def frames(self, number: int) -> memoryview:
        """Return all bytes of a record as they stand in the file."""
        place = int(self.places[number])
        return memoryview(self.buffer)[place : place + int(self.headers["span"][number])]

    def payload(self, number: int) -> bytes | memoryview:
        """Return the payload of a record that has a header."""
        header, place = self.headers[number], int(self.places[number])
        size, span = int(header["size"]), int(header["span"])
        start = 24 + 4 * int(header["flag"])
        if _LEFT + (start + size + 3 & ~3) == span:  # in one piece
            return memoryview(self.buffer)[place + _LEFT + start : place + _LEFT + start + size]
        content, _ = unframed(memoryview(self.buffer), place, "", "")
        return content[start:]


def walk(rec_path: str | os.PathLike, block: int = BLOCK) -> Iterator[Stretch]:
    """Yield the records of a file in its order, block by block; memory is a few blocks, or
    the largest record.

    Raises FileNotFoundError; OSError where the disk cannot be read.
    """
    path = Path(rec_path)
    if not path.is_file():
        raise FileNotFoundError(f"no record file {path.absolute()}")
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        begin, lost, more, rest = 0, None, block, b""
        while begin + len(rest) < size:
            buffer = _read(file, rest, min(len(rest) + more, size - begin))
            if hasattr(os, "posix_fadvise"):  # the disk reads on while these are looked at
                os.posix_fadvise(file.fileno(), begin + len(buffer), block, os.POSIX_FADV_WILLNEED)
            found = _Search(buffer, begin, size, lost)
            places = np.array(found.places, np.int64)
            array = np.frombuffer(buffer, np.uint8)
            names = Names(begin + places, "the record at byte")
            headers, faults = headers_at(array, places, path, names)
            past = begin + found.keep
            yield Stretch(begin, array, places, headers, faults, tuple(found.damage), past)
            lost = found.lost
            more = block if found.keep else len(buffer)  # a record longer than the buffer
            rest, begin = bytes(buffer[found.keep :]), past


def _read(file: BinaryIO, rest: bytes, count: int) -> bytearray:
    """Return a new buffer of count bytes, or up to the end: rest, then what follows it."""
    buffer = bytearray(count)
    buffer[: len(rest)] = rest
    view, at = memoryview(buffer), len(rest)
    while at < count:
        got = file.readinto(view[at:])
        if not got:
            raise OSError(f"{file.name}: became shorter while it was read")
        at += got
    return buffer


class _Search:
    """Where records begin in a buffer.

    places; damage that is complete; lost: where damage began that goes on, or None; keep: from
    where on the buffer is needed again.
    """

    def __init__(self, buffer: bytearray, begin: int, size: int, lost: int | None):
        self.places: list[int] = []
        self.damage: list[Damage] = []
        self.lost, self.keep = lost, len(buffer)
        self._buffer, self._begin = buffer, begin
        self._is_last = begin + len(buffer) == size
        self._floor = 0  # nothing before it is looked at again
        at = 0 if lost is None else self._resume(0)
        while at is not None:
            at, why = self._run(at)
            if why == "end" or (why == "more" and not self._is_last):
                if not self._is_last:
                    self._keep_from(at)
                return
            at = self._pass_over(at, is_cut_off=why == "more")

    @property
    def _previous(self) -> int | None:
        is_there = self.places and self.places[-1] >= self._floor
        return self.places[-1] if is_there else None

    def _keep_from(self, at: int) -> None:
        """Look at the last record again with what follows it, which shows whether it is sound."""
        self.keep = at if self._previous is None else self.places.pop()

    def _run(self, at: int) -> tuple[int, str]:
        """Collect records from `at` on; return where that stops and why: the buffer's "end",
        "more" than the buffer is needed, or "damage"."""
        buffer, places, unpack = self._buffer, self.places, _PART.unpack_from
        last = len(buffer) - _LEFT
        while at <= last:
            magic, word = unpack(buffer, at)
            if magic != MAGIC:
                return at, "damage"
            if word <= MAX_LENGTH:
                end = at + _LEFT + (word + 3 & ~3)
            else:
                end = self._end_of_parts(at)
                if end is None:
                    return at, "damage"
            if end > len(buffer):
                return at, "more"
            places.append(at)
            at = end
        return at, "end" if at == len(buffer) else "more"

    def _end_of_parts(self, at: int) -> int | None:
        """Return where a record in several pieces ends, beyond the buffer if it does not end
        there; None if the pieces do not follow each other."""
        expected: tuple[int, ...] = (_BEGIN,)
        while at + _LEFT <= len(self._buffer):
            magic, word = _PART.unpack_from(self._buffer, at)
            if magic != MAGIC or word >> 29 not in expected:
                return None
            at += _LEFT + ((word & MAX_LENGTH) + 3 & ~3)
            if word >> 29 == _END:
                return at
            expected = (_MIDDLE, _END)
        return len(self._buffer) + 1

    def _pass_over(self, at: int, is_cut_off: bool) -> int | None:
        """Take damage at `at` down; return where records go on in this buffer, or None."""
        previous = self._previous
        if previous is not None:
            inside = self._next_magic(previous + 4)
            if inside is not None and inside < at:
                at = self.places.pop()  # its length was wrong, it swallowed others
        if self._is_last and self._next_magic(at + 4) is None:
            end = self._begin + len(self._buffer)
            self.damage.append(Damage(self._begin + at, end, is_cut_off))
            return None
        self.lost = self._begin + at
        return self._resume(at + 4)

    def _resume(self, at: int) -> int | None:
        """Return where records go on after damage, or None with what is to be kept."""
        found = self._next_magic(at)
        if found is not None:
            self.damage.append(Damage(self.lost, self._begin + found))
            self.lost, self._floor = None, found
        elif self._is_last:
            self.damage.append(Damage(self.lost, self._begin + len(self._buffer)))
        else:
            self.keep = max(len(self._buffer) - _LEFT & ~3, 0)
        return found

    def _next_magic(self, at: int) -> int | None:
        """Return the next place where a record may begin."""
        last = len(self._buffer) - _LEFT
        while 0 <= (at := self._buffer.find(_MAGIC_BYTES, at)) <= last:
            if at % 4 == 0 and _PART.unpack_from(self._buffer, at)[1] >> 29 in (0, _BEGIN):
                return at
            at += 1
        return None

"""The index of a .rec file: text, a line KEY<TAB>OFFSET for each record, as mxnet.recordio has it.

It is read once, a block at a time, into numpy and a hash: 10 million lines are 200 MB of text.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
import re
from typing import NamedTuple

import numpy as np

from ..limits import open_file
from .framing import REBUILD

BLOCK = 1 << 22  # bytes read at a time
LONGEST_LINE = 1 << 10  # bytes; two numbers and what stands around them
SHORTEST_LINE = 4  # bytes, "0\t0\n"; the last line may go without its end
MOST_DIGITS = 18  # of a number that an int64 surely holds

_TAB, _NEWLINE = b"\t\n"
_LINE = re.compile(rb"\s*(\d{1,18})[ \t]+(\d{1,18})\s*")  # forgiving: other tools' spaces and CR


class Index(NamedTuple):
    """keys, offsets: int64 (N,), in the order of the file.  digest: SHA-256 over its bytes."""

    keys: np.ndarray
    offsets: np.ndarray
    digest: hashlib._Hash


def read_index(idx_path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and byte offsets of an .idx file, both int64 (N,), in its order.

    Raises FileNotFoundError; ValueError with the number of the first line that is not
    KEY<TAB>OFFSET, or if there are none.
    """
    return read_hashed_index(idx_path)[:2]


def read_hashed_index(idx_path: str | os.PathLike) -> Index:
    """Return read_index() with the digest of what was read.  Raises what it does."""
    digest, lines = hashlib.sha256(), _Lines(Path(idx_path))
    with open_file(idx_path, "index") as file:
        # Memory counts when it is written to: room for the most lines that the file can hold.
        room = file.seek(0, os.SEEK_END) // SHORTEST_LINE + 1
        file.seek(0)
        keys, offsets = np.empty(room, np.int64), np.empty(room, np.int64)
        count, rest = 0, b""
        while block := file.read(BLOCK):
            digest.update(block)
            whole = rest + block
            end = whole.rfind(b"\n") + 1
            rest = whole[end:]
            if len(rest) > LONGEST_LINE:
                raise lines.fault(rest)
            count = _enter(lines.numbers(whole[:end]), count, keys, offsets)
        if rest:
            count = _enter(lines.numbers(rest + b"\n"), count, keys, offsets)
    if not count:
        raise lines.fault(b"")
    keys.resize(count, refcheck=False)
    offsets.resize(count, refcheck=False)
    return Index(keys, offsets, digest)


def _enter(numbers: np.ndarray, count: int, keys: np.ndarray, offsets: np.ndarray) -> int:
    """Write the numbers of some lines behind those of count lines; return the new count."""
    end = count + len(numbers)
    keys[count:end], offsets[count:end] = numbers[:, 0], numbers[:, 1]
    return end


class _Lines:
    """Whole lines to numbers, and the count of those before."""

    def __init__(self, path: Path):
        self._path = path
        self._done = 0
        self._is_ended = False  # a blank line has come: nothing but blanks may follow

    def numbers(self, text: bytes) -> np.ndarray:
        """Return key and offset of every line of text, int64 (n, 2)."""
        if not self._is_ended and _is_regular(text):
            found = np.fromstring(text, np.int64, sep=" ").reshape(-1, 2)
            self._done += len(found)
            return found
        return self._one_by_one(text)

    def fault(self, line: bytes) -> ValueError:
        """Return what to raise for the next line."""
        return ValueError(
            f"{self._path}: is not an index of lines KEY<TAB>OFFSET: line {self._done + 1} is "
            f"{line[:60]!r}; {REBUILD}"
        )

    def _one_by_one(self, text: bytes) -> np.ndarray:
        found = []
        for line in text.split(b"\n")[:-1]:
            if not line.strip():
                self._is_ended = True
            elif self._is_ended:
                self._done -= 1
                raise self.fault(b"")
            else:
                match = _LINE.fullmatch(line)
                if not match:
                    raise self.fault(line)
                found.append((int(match[1]), int(match[2])))
            self._done += 1
        return np.array(found, np.int64).reshape(-1, 2)


def _is_regular(text: bytes) -> bool:
    """Return whether every line is digits, one TAB, digits."""
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(characters - ord("0") > 9)  # unsigned: what is below "0" wraps
    if len(ends) % 2 or not len(ends):
        return False
    digits = np.diff(ends, prepend=-1) - 1
    return bool(
        (characters[ends[0::2]] == _TAB).all()
        and (characters[ends[1::2]] == _NEWLINE).all()
        and digits.min() > 0
        and digits.max() <= MOST_DIGITS
    )

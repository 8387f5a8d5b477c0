"""RecordIO files and their index, read and written with numpy and the standard library.

A .rec file is a row of records.  Each begins on a multiple of 4 bytes (all little-endian):

    uint32 0xced7230a | uint32 part << 29 | length | length bytes | zeros up to 4 bytes

part is 0 for a record in one piece.  Where the content holds the magic word itself, on a
multiple of 4 bytes, the word is left out and the record is cut there: part 1 begins, 2
continues, 3 ends it.  The content is a header, `flag` labels and the payload:

    uint32 flag | float32 label | uint64 id | uint64 id2 | flag x float32 | payload

flag 0 means one label, in the header.  The .idx is text: a line KEY<TAB>OFFSET per record.
The format is that of dmlc-core's recordio.h and of mxnet.recordio, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
import mmap
import os
from pathlib import Path
import struct
import warnings

import numpy as np

from .files import replace_file

MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_PART = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
# What a record in one piece begins with.
_FIXED = np.dtype("<u4, <u4, <u4, <f4, <u8, <u8, (2,)<f4")
_FIXED.names = ("magic", "word", "flag", "label", "id", "id2", "labels")
_SUMMARY = np.dtype("<u4, <u8, <u8, (2,)<f4, <i8")
_SUMMARY.names = ("flag", "id", "id2", "labels", "size")
_MAX_LENGTH = (1 << 29) - 1
_WHOLE, _BEGIN, _MIDDLE, _END = range(4)

REBUILD = "rebuild the index with `python -m arcface_mxnet.data.rec index REC`"


@dataclass(frozen=True)
class Record:
    """One record.  label is a float when flag is 0, else float32 (flag,)."""

    label: float | np.ndarray
    payload: bytes
    flag: int = 0
    id: int = 0
    id2: int = 0

    @property
    def first_label(self) -> float:
        """The only label, or the first of several: the identity of an image record."""
        return self.label if self.flag == 0 else float(self.label[0])


class RecordReader:
    """Records of a .rec file by key.  Reading is safe from several threads at once.

    Without idx_path the whole file is walked instead, and the keys are the records' ids
    (their order, from 0, where ids repeat).  keys, offsets (bytes): int64 (N,) in the order
    of the index.
    Raises FileNotFoundError; ValueError if the file is empty or cut off, if its size does not
    fit the index, or if a record is damaged.
    """

    def __init__(self, rec_path: str | os.PathLike, idx_path: str | os.PathLike | None = None):
        self.rec_path = Path(rec_path)
        with self.rec_path.open("rb") as file:
            self._size = os.fstat(file.fileno()).st_size
            if self._size == 0:
                raise ValueError(f"{self.rec_path}: is empty; fetch or pack it again")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(self._map, np.uint8)
        try:
            if idx_path is None:
                self.keys, self.offsets = self._scan()
            else:
                self.keys, self.offsets = read_index(idx_path)
                self._check_ends(Path(idx_path))
            self._by_key = np.argsort(self.keys, kind="stable")
            self._sorted_keys = self.keys[self._by_key]
            if (np.diff(self._sorted_keys) == 0).any():
                raise ValueError(f"{idx_path or self.rec_path}: a key stands twice; {REBUILD}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RecordReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: int) -> bool:
        place = np.searchsorted(self._sorted_keys, key)
        return bool(place < len(self._sorted_keys) and self._sorted_keys[place] == key)

    def close(self) -> None:
        """Release the file.  Nothing can be read afterwards."""
        self._bytes = None
        self._map.close()

    def read(self, key: int) -> Record:
        """Return a record.  Raises ValueError if it is absent or damaged."""
        return self._unpack(int(self._offsets_of(np.array([key]))[0]), f"record {key}")

    def headers(self, keys: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the headers of many records, structured (K,): flag, id, id2, labels (the
        first two, 0 where there are fewer), size of the payload in bytes.

        Much faster than reading each.
        """
        offsets = self._offsets_of(np.asarray(keys, np.int64))
        out = np.zeros(len(offsets), _SUMMARY)
        fast = offsets + _FIXED.itemsize <= self._size
        fixed = self._bytes[offsets[fast, None] + np.arange(_FIXED.itemsize)].view(_FIXED)[:, 0]
        length = fixed["word"].astype(np.int64)  # the part number above it is 0 in whole records
        simple = (fixed["magic"] == MAGIC) & (_HEADER.size <= length) & (length <= _MAX_LENGTH)
        fast[fast], fixed, length = simple, fixed[simple], length[simple]
        for name in ("flag", "id", "id2"):
            out[name][fast] = fixed[name]
        inline = fixed["flag"][:, None] > np.arange(2)
        out["labels"][fast] = np.where(inline, fixed["labels"], 0)
        out["labels"][fast, 0] += fixed["label"]  # one of the two is 0
        out["size"][fast] = length - _HEADER.size - 4 * fixed["flag"].astype(np.int64)
        for place in np.flatnonzero(~fast):
            record = self._unpack(int(offsets[place]), f"record {keys[place]}")
            labels = np.resize(np.append(np.ravel(record.label)[:2], 0), 2)
            out[place] = record.flag, record.id, record.id2, labels, len(record.payload)
        return out

    def _offsets_of(self, keys: np.ndarray) -> np.ndarray:
        places = np.searchsorted(self._sorted_keys, keys)
        inside = np.minimum(places, len(self._sorted_keys) - 1)
        absent = self._sorted_keys[inside] != keys
        if absent.any():
            raise ValueError(
                f"{self.rec_path}: no record with key {keys[absent][0]}; keys go from "
                f"{self._sorted_keys[0]} to {self._sorted_keys[-1]}"
            )
        return self.offsets[self._by_key[inside]]

    def _unpack(self, offset: int, name: str) -> Record:
        content, _ = self._content(offset, name)
        if len(content) < _HEADER.size:
            raise ValueError(f"{self.rec_path}: {name} is too short for a header")
        flag, label, id_, id2 = _HEADER.unpack_from(content)
        start = _HEADER.size + 4 * flag
        if start > len(content):
            raise ValueError(f"{self.rec_path}: {name} is too short for its {flag} labels")
        if flag:
            label = np.frombuffer(content, "<f4", flag, _HEADER.size)
        return Record(label, content[start:], flag, id_, id2)

    def _content(self, offset: int, name: str) -> tuple[bytes, int]:
        """Return a record's content with the left-out magic words, and where it ends."""
        pieces, expected = [], (_WHOLE, _BEGIN)
        at = offset
        while True:
            if offset < 0 or at + _PART.size > self._size:
                raise ValueError(self._cut_off(name, at + _PART.size))
            magic, word = _PART.unpack_from(self._map, at)
            part, length = word >> 29, word & _MAX_LENGTH
            if magic != MAGIC or part not in expected:
                raise ValueError(
                    f"{self.rec_path}: no record begins at byte {at}, where {name} should be; the "
                    f"index belongs to another .rec or that is damaged; {REBUILD} or fetch it again"
                )
            begin = at + _PART.size
            if begin + length > self._size:
                raise ValueError(self._cut_off(name, begin + length))
            pieces.append(self._map[begin : begin + length])
            at = begin + (length + 3) // 4 * 4
            if part in (_WHOLE, _END):
                return _MAGIC_BYTES.join(pieces), at
            expected = (_MIDDLE, _END)

    def _cut_off(self, name: str, needed: int) -> str:
        return (
            f"{self.rec_path}: has {self._size} bytes, but {name} reaches to byte {needed}; the "
            "file is cut off or the index belongs to another .rec; fetch or pack it again"
        )

    def _check_ends(self, idx_path: Path) -> None:
        """Raise ValueError unless the index begins and ends where the .rec does."""
        last = int(self.offsets.argmax())
        _, end = self._content(int(self.offsets[last]), f"record {self.keys[last]}")
        if end != self._size or self.offsets.min() != 0:
            raise ValueError(
                f"{idx_path}: covers bytes {self.offsets.min()} to {end}, but {self.rec_path} "
                f"has {self._size}; the index belongs to another .rec or is cut off; {REBUILD}"
            )

    def _scan(self) -> tuple[np.ndarray, np.ndarray]:
        """Return keys and offsets by walking the whole file."""
        offsets, ids, at = [], [], 0
        while at < self._size:
            offsets.append(at)
            content, at = self._content(at, f"record number {len(ids)}")
            ids.append(_HEADER.unpack_from(content)[2] if len(content) >= _HEADER.size else 0)
        if len(set(ids)) != len(ids):
            ids = range(len(offsets))
        return np.array(ids, np.int64), np.array(offsets, np.int64)


class RecordWriter:
    """Writes a .rec file and its .idx, with the bytes of mxnet.recordio.MXIndexedRecordIO.

    Both appear under their names when the block ends well; if it raises, a full disk
    included, neither does and older files stay.
    """

    def __init__(self, rec_path: str | os.PathLike, idx_path: str | os.PathLike):
        self.rec_path, self.idx_path = Path(rec_path), Path(idx_path)
        self._keys: set[int] = set()

    def __enter__(self) -> RecordWriter:
        self._files = contextlib.ExitStack()
        # Left in reverse order: the .rec gets its name first, then the .idx.
        self._idx = self._files.enter_context(replace_file(self.idx_path, "w", newline="\n"))
        self._rec = self._files.enter_context(replace_file(self.rec_path))
        self._offset = 0
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if exception[0] is None:
                self._idx.flush()  # a full disk shows before the .rec is renamed
                os.fsync(self._idx.fileno())
            self._files.__exit__(*exception)
        except OSError as error:
            raise self._failed(error) from error

    def write(
        self, key: int, label: float | Sequence[float], payload: bytes = b"", *, id2: int = 0
    ) -> None:
        """Append a record; a number as label is stored with flag 0.  id is the key, as published.

        Raises ValueError for a key written twice, OSError naming the file for a full disk.
        """
        if key in self._keys:
            raise ValueError(f"{self.rec_path}: key {key} is written twice")
        self._keys.add(key)
        if np.ndim(label) == 0:
            content = _HEADER.pack(0, float(label), key, id2) + payload
        else:
            labels = np.asarray(label, "<f4")
            content = _HEADER.pack(labels.size, 0.0, key, id2) + labels.tobytes() + payload
        try:
            self._idx.write(f"{key}\t{self._offset}\n")
            self._write_content(content)
        except OSError as error:
            raise self._failed(error) from error

    def _write_content(self, content: bytes) -> None:
        if len(content) > _MAX_LENGTH:
            raise ValueError(f"{self.rec_path}: a record of {len(content)} bytes; the most is 2^29")
        begin, part, cut = 0, _BEGIN, content.find(_MAGIC_BYTES)
        while cut >= 0:
            if cut % 4 == 0:
                self._write_part(part, content[begin:cut])
                begin, part = cut + 4, _MIDDLE
            cut = content.find(_MAGIC_BYTES, begin if cut % 4 == 0 else cut + 1)
        self._write_part(_WHOLE if part == _BEGIN else _END, content[begin:])

    def _write_part(self, part: int, piece: bytes) -> None:
        padding = b"\0" * (-len(piece) % 4)
        self._rec.write(_PART.pack(MAGIC, part << 29 | len(piece)) + piece + padding)
        self._offset += _PART.size + len(piece) + len(padding)

    def _failed(self, error: OSError) -> OSError:
        advice = "nothing was left behind, make room and run it again"
        text = f"{error.strerror} after {self._offset} bytes; {advice}"
        return OSError(error.errno, text, str(self.rec_path))


def read_index(idx_path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and byte offsets of an .idx file, both int64 (N,), in its order.

    Raises FileNotFoundError; ValueError if it is empty or not KEY<TAB>OFFSET lines.
    """
    text = Path(idx_path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns about text that is no number
        try:
            numbers = np.fromstring(text, np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            numbers = np.zeros(1)
    if len(numbers) == 0 or len(numbers) != 2 * len(text.strip().splitlines()):
        raise ValueError(f"{idx_path}: is not an index of lines KEY<TAB>OFFSET; {REBUILD}")
    return numbers[0::2].copy(), numbers[1::2].copy()

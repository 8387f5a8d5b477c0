"""RecordIO files and their index, read and written with numpy and the standard library.

The content of a record (its frame is described in framing.py) is a header, `flag` labels and
the payload, little-endian:

    uint32 flag | float32 label | uint64 id | uint64 id2 | flag x float32 | payload

flag 0 means one label, in the header.  The .idx is text: a line KEY<TAB>OFFSET per record.
The format is that of mxnet.recordio, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import logging
import mmap
import os
from pathlib import Path

import numpy as np

from ..files import reading_set, replace_set
from .framing import REBUILD, framed, is_cut_off, unframed
from .headers import HEADER, Names, fields_of, headers_at
from .index import read_hashed_index
from .index import read_index as read_index  # its public place
from .offsets import check_offsets
from .roles import own_keys, roles_of
from .scan import scan

log = logging.getLogger(__name__)


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
    (their order where ids repeat or contradict record 0).  keys, offsets (bytes): int64 (N,) in
    the order of the index; sorted_keys: the keys, ascending.  index_digest: SHA-256 over the
    bytes of the index, if there is one.
    A file that ends inside a record that the index does not name is taken, with a warning.
    Raises FileNotFoundError; ValueError if the file is empty or cut off, if its size does not
    fit the index, if two keys have one record, if a record is damaged, or if writing the two was
    interrupted.
    """

    def __init__(self, rec_path: str | os.PathLike, idx_path: str | os.PathLike | None = None):
        self.rec_path = Path(rec_path)
        with reading_set(rec_path, *([] if idx_path is None else [idx_path])):
            self._open(idx_path)

    def _open(self, idx_path: str | os.PathLike | None) -> None:
        if not self.rec_path.is_file():
            raise FileNotFoundError(f"no record file {self.rec_path.absolute()}")
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
                self.keys, self.offsets, self.index_digest = read_hashed_index(idx_path)
                self._check_ends(Path(idx_path))
            self.sorted_keys, self._sorted_offsets = _ascending(self.keys, self.offsets)
            if (self.sorted_keys[1:] == self.sorted_keys[:-1]).any():
                raise ValueError(f"{idx_path or self.rec_path}: a key stands twice; {REBUILD}")
            check_offsets(self.keys, self.offsets, idx_path or self.rec_path)
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
        place = np.searchsorted(self.sorted_keys, key)
        return bool(place < len(self.sorted_keys) and self.sorted_keys[place] == key)

    def close(self) -> None:
        """Release the file.  Nothing can be read afterwards."""
        self._bytes = None
        self._map.close()

    def read(self, key: int) -> Record:
        """Return a record.  Raises ValueError if it is absent or damaged."""
        return self._unpack(self._offset_of(key), f"record {key}")

    def headers(
        self, keys: Sequence[int] | np.ndarray, faults: dict[int, str] | None = None
    ) -> np.ndarray:
        """Return the headers of many records, structured (K,): flag, id, id2, labels (the
        first two, 0 where there are fewer), size of the payload and span of the record in bytes.

        Much faster than reading each.  faults takes what is wrong with damaged records, by
        place; their size is -1.  Without it a ValueError is raised for the first.
        """
        keys = np.asarray(keys, np.int64)
        found, wrong = headers_at(self._bytes, self.offsets_of(keys), self.rec_path, Names(keys))
        if faults is not None:
            faults |= wrong
        elif wrong:
            raise ValueError(next(iter(wrong.values())))
        return found

    def read_ahead(self, offsets: np.ndarray) -> None:
        """Let the system fetch what stands at offsets, all at once instead of one by one."""
        if hasattr(mmap, "MADV_WILLNEED"):
            for page in np.unique(offsets // mmap.PAGESIZE).tolist():
                self._map.madvise(mmap.MADV_WILLNEED, page * mmap.PAGESIZE, mmap.PAGESIZE)

    def offsets_of(self, keys: np.ndarray) -> np.ndarray:
        """Return where the records of keys begin, int64 (K,).  Raises ValueError for others."""
        places = np.searchsorted(self.sorted_keys, keys)
        inside = np.minimum(places, len(self.sorted_keys) - 1)
        absent = self.sorted_keys[inside] != keys
        if absent.any():
            raise ValueError(
                f"{self.rec_path}: no record with key {keys[absent][0]}; keys go from "
                f"{self.sorted_keys[0]} to {self.sorted_keys[-1]}"
            )
        return self._sorted_offsets[inside]

    def _offset_of(self, key: int) -> int:
        """Return what offsets_of() does, of one key in a third of the time."""
        place = self.sorted_keys.searchsorted(key)
        if place < len(self.sorted_keys) and self.sorted_keys[place] == key:
            return int(self._sorted_offsets[place])
        return int(self.offsets_of(np.array([key]))[0])

    def _unpack(self, offset: int, name: str) -> Record:
        content, _ = self._content(offset, name)
        flag, labels, id_, id2, start = fields_of(content, self.rec_path, name)
        return Record(labels if flag else float(labels[0]), content[start:], flag, id_, id2)

    def _content(self, offset: int, name: str) -> tuple[bytes, int]:
        """Return a record's content, and where it ends."""
        return unframed(self._map, offset, self.rec_path, name)

    def _check_ends(self, idx_path: Path) -> None:
        """Raise ValueError unless the index begins and ends where the .rec does."""
        last = int(self.offsets.argmax())
        _, end = self._content(int(self.offsets[last]), f"record {self.keys[last]}")
        if self.offsets.min() == 0 and end < self._size and is_cut_off(self._map, end):
            log.warning(
                "%s: ends inside a record, %d bytes after the last whole one, which are left out",
                self.rec_path, self._size - end,
            )  # fmt: skip
        elif end != self._size or self.offsets.min() != 0:
            raise ValueError(
                f"{idx_path}: covers bytes {self.offsets.min()} to {end}, but {self.rec_path} "
                f"has {self._size}; the index belongs to another .rec or is cut off; {REBUILD}"
            )

    def _scan(self) -> tuple[np.ndarray, np.ndarray]:
        """Return keys and offsets by walking the whole file."""
        table = scan(self.rec_path)
        cure = f"`arcface-rec index {self.rec_path}` finds what is whole"
        if self.rec_path.name == "train.rec":
            cure = f"`arcface-rec repair {self.rec_path.parent}` keeps what is whole"
        for damage in table.damage:
            what = "is cut off in the record at byte" if damage.is_cut_off else "is damaged at byte"
            raise ValueError(
                f"{self.rec_path}: {what} {damage.begin}; fetch or pack it again, or {cure}"
            )
        if table.faults:
            raise ValueError(next(iter(table.faults.values())))
        return own_keys(table.headers, roles_of(table.headers)), table.offsets


def _ascending(keys: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and offsets, int64 (N,), by ascending key; the same arrays if they do already."""
    if (keys[1:] > keys[:-1]).all():
        return keys, offsets
    order = np.argsort(keys, kind="stable")
    return keys[order], offsets[order]


class RecordWriter:
    """Writes a .rec file and its .idx, with the bytes of mxnet.recordio.MXIndexedRecordIO.

    beside: further files that belong to them, see write_beside().  All appear under their names
    together when the block ends well; if it raises, a full disk included, none does and older
    files stay (files.replace_set).
    """

    def __init__(
        self,
        rec_path: str | os.PathLike,
        idx_path: str | os.PathLike,
        beside: Iterable[str | os.PathLike] = (),
    ):
        self.rec_path, self.idx_path = Path(rec_path), Path(idx_path)
        self._beside = tuple(beside)
        self._keys: set[int] = set()

    def __enter__(self) -> RecordWriter:
        self._set = replace_set(self.rec_path, self.idx_path, *self._beside)
        self._files = self._set.__enter__()
        self._rec = self._files.open(self.rec_path)
        self._idx = self._files.open(self.idx_path, "w", newline="\n")
        self._offset = 0
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._set.__exit__(*exception)
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
            content = HEADER.pack(0, float(label), key, id2) + payload
        else:
            labels = np.asarray(label, "<f4")
            content = HEADER.pack(labels.size, 0.0, key, id2) + labels.tobytes() + payload
        try:
            frames = framed(content)
        except ValueError as error:
            raise ValueError(f"{self.rec_path}: key {key}: {error}") from None
        try:
            self._idx.write(f"{key}\t{self._offset}\n")
            self._rec.write(frames)
        except OSError as error:
            raise self._failed(error) from error
        self._offset += len(frames)

    def write_beside(self, path: str | os.PathLike, text: str) -> None:
        """Write one of the files beside; one that is not written is not there afterwards.

        Its encoding is UTF-8; what the system gave as names goes out as it came in.
        """
        options = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
        self._files.open(path, "w", **options).write(text)

    def _failed(self, error: OSError) -> OSError:
        if error.errno is None:  # not the system's: it says what to do
            return error
        advice = "nothing was left behind, make room and run it again"
        text = f"{error.strerror} after {self._offset} bytes; {advice}"
        return OSError(error.errno, text, str(self.rec_path))

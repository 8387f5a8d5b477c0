"""A store: rows of one shape in one .npy file, which appears when all of them are there.

NAME.npy.partial grows row by row, after the header of the whole array: what it holds is always
the first rows, so a writer that was killed goes on where it stopped.  One process writes it at
a time: it holds a lock on it.  It is read by npy.py.
"""

from __future__ import annotations

from collections.abc import Sequence
import io
import os
from pathlib import Path

import numpy as np

from ..files import naming, refuse_no_file
from ..locks import is_at, try_lock


def partial_path(path: str | os.PathLike) -> Path:
    """Return where the rows of a store lie while they are not all there."""
    return Path(f"{os.fspath(path)}.partial")


def has_rows(path: str | os.PathLike) -> bool:
    """Return whether a store's partial file holds more than the header of a .npy file."""
    part = partial_path(path)
    if not part.is_file():
        return False
    with part.open("rb") as file:
        length = int.from_bytes(file.read(10)[8:], "little")
        return file.seek(0, os.SEEK_END) > 10 + length


def how_far(path: str | os.PathLike) -> str:
    """Return words for a message about a store that is absent: whether its writing was begun."""
    part = partial_path(path)
    if not part.is_file():
        return ""
    return f"; writing it was interrupted ({part.name} is there), run what wrote it again"


class RowWriter:
    """Writes a store of `shape`, rows first, or goes on with its partial file.

    anew: throw away what a partial file holds.  done: how many rows are written.
    Raises ValueError if the partial file is of another shape or type, or while another process
    writes it.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        shape: Sequence[int],
        dtype: str | np.dtype,
        *,
        anew: bool = False,
    ):
        refuse_no_file(path)
        self.path, self._part = Path(path), partial_path(path)
        self.shape, self.dtype = tuple(shape), np.dtype(dtype).newbyteorder("<")
        self._row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        self._header = npy_header(self.shape, self.dtype)
        self._file = self._open(anew)

    @property
    def done(self) -> int:
        return (self._file.tell() - len(self._header)) // self._row_bytes

    def write(self, rows: np.ndarray) -> None:
        """Append rows.  Raises ValueError for another shape, and for more than there may be."""
        if rows.shape[1:] != self.shape[1:]:
            values = " x ".join(map(str, self.shape[1:]))
            raise ValueError(f"{self.path}: rows of {values} values, got {rows.shape}")
        if self.done + len(rows) > self.shape[0]:
            raise ValueError(f"{self.path}: more rows than the {self.shape[0]} it has")
        with naming(self._part):
            self._file.write(self.stored(rows).tobytes())

    def stored(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows in the type of the store.  Kinds of stores may refuse some here."""
        return rows.astype(self.dtype, copy=False)

    def sync(self) -> None:
        """Make what was written survive a power cut."""
        with naming(self._part):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the file its name if every row is there; else leave it for the next start."""
        is_complete = self.done == self.shape[0]
        self.sync()
        if is_complete:
            self._part.replace(self.path)
        self._file.close()

    def discard(self) -> None:
        """Remove the partial file."""
        self._part.unlink()
        self._file.close()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self, anew: bool) -> io.BufferedRandom:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(self._part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        if try_lock(file.fileno()) is False or not is_at(file.fileno(), self._part):
            file.close()
            raise ValueError(
                f"{self.path}: another process is writing it, or has just written it; wait until "
                "it ends"
            )
        if anew:
            file.truncate()
        begin = file.read(len(self._header))
        if len(begin) < len(self._header):
            file.seek(0)
            file.truncate()
            file.write(self._header)
            return file
        if begin != self._header:
            file.close()
            raise ValueError(
                f"{self._part}: left by another job (other count, dimension or type); delete it "
                "or choose another name"
            )
        whole_rows = (file.seek(0, os.SEEK_END) - len(begin)) // self._row_bytes
        file.truncate(len(begin) + whole_rows * self._row_bytes)
        file.seek(0, os.SEEK_END)
        return file


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return what a .npy file of that shape begins with."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype.str, "fortran_order": False, "shape": shape}
    )
    return header.getvalue()

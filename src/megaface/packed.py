"""Packed features: one memory-mapped file in place of a million small ones.

NAME.npy    (N, D) float32 or float16, a plain numpy file: numpy.load(..., mmap_mode="r")
NAME.names  text: a JSON line {"format", "ending", "count", "dim", "dtype"}, then the N image
            names in row order, one a line
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import io
import json
import os
from pathlib import Path

import numpy as np

from .features import vector_faults
from .lists import check_paths

FORMAT = 1
DTYPES = ("float32", "float16")
BATCH = 4096  # rows checked and written at a time


class FeatureStore:
    """A packed store, open for reading.

    names: image names by row.  ending: file ending the features had or would have.
    Raises FileNotFoundError, and ValueError if the two files do not fit together.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        index_path = self.path.with_suffix(".names")
        if not self.path.is_file() or not index_path.is_file():
            raise FileNotFoundError(
                f"{self.path}: no complete store (needs {self.path.name} and {index_path.name})"
            )
        self.ending, self.names, wanted = _read_index(index_path)
        try:
            self.vectors = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except ValueError as reason:
            raise ValueError(f"{self.path}: not a store, or truncated: {reason}") from None
        found = (*self.vectors.shape, self.vectors.dtype.name)
        if found != wanted or not self.vectors.flags.c_contiguous:
            raise ValueError(f"{self.path}: holds {found}, its index says {wanted}")

    @property
    def dim(self) -> int:
        """Return D."""
        return self.vectors.shape[1]

    def __len__(self) -> int:
        return len(self.vectors)

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Return the row of each name, int64 (n,); -1 where the store has no such name."""
        if self.names[: len(names)] == list(names):
            return np.arange(len(names))
        row_of = {name: row for row, name in enumerate(self.names)}
        return np.fromiter((row_of.get(name, -1) for name in names), np.int64, len(names))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of rows, float32 (n, D): what is stored, exactly."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            block = self.vectors[rows[0] : rows[-1] + 1]
        else:
            block = self.vectors[rows]
        return np.array(block, np.float32)


class StoreWriter:
    """Write a store row by row; a writer that was killed goes on where it stopped.

    Rows are appended to NAME.npy.partial and the file gets its name when all are there, so
    what a partial file holds is always its first `done` rows.  Raises ValueError if a partial
    file of another list, size or type is in the way.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        names: Sequence[str],
        dim: int,
        dtype: str = "float32",
        ending: str = "",
    ):
        if dtype not in DTYPES:
            raise ValueError(f"{path}: dtype {dtype!r}; a store is one of {', '.join(DTYPES)}")
        if Path(path).suffix != ".npy":
            raise ValueError(f"{path}: the name of a store ends in .npy")
        check_paths(path, names)
        self.path = Path(path)
        self.dtype, self.dim, self.count = np.dtype(dtype).newbyteorder("<"), dim, len(names)
        self._part = self.path.with_name(self.path.name + ".partial")
        self._row_bytes = dim * self.dtype.itemsize
        self._header = _npy_header((self.count, dim), self.dtype)
        index = {"format": FORMAT, "ending": ending, "count": self.count}
        index |= {"dim": dim, "dtype": dtype}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._take_index(json.dumps(index) + "\n" + "".join(f"{name}\n" for name in names))
        self._file = self._open_partial()

    @property
    def done(self) -> int:
        """Return how many rows are written."""
        return (self._file.tell() - len(self._header)) // self._row_bytes

    def write(self, vectors: np.ndarray) -> None:
        """Append vectors, float (n, D).

        Raises ValueError for NaN, infinity, zero length (also what float16 makes of a value
        too large or small for it), and for more rows than the store has names.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(f"{self.path}: rows of {self.dim} values, got {vectors.shape}")
        if self.done + len(vectors) > self.count:
            raise ValueError(f"{self.path}: more rows than the {self.count} names")
        with np.errstate(over="ignore"):
            stored = vectors.astype(self.dtype)
        faults = vector_faults(stored.astype(np.float32))
        if faults:
            row, fault = next(iter(faults.items()))
            raise ValueError(f"{self.path}: row {self.done + row} as {self.dtype.name}: {fault}")
        self._file.write(stored.tobytes())

    def close(self) -> None:
        """Give the file its name if every row is there; else leave it for the next start."""
        complete = self.done == self.count
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if complete:
            self._part.replace(self.path)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _take_index(self, text: str) -> None:
        """Write the index, or find the same one left by an earlier start of the same job."""
        index_path = self.path.with_suffix(".names")
        if self._part.exists():
            if not index_path.exists() or index_path.read_text(encoding="utf-8") != text:
                raise ValueError(
                    f"{self._part}: left by another job (other list, dimension or type); "
                    "delete it or choose another name"
                )
            return
        if self.path.exists():
            raise ValueError(f"{self.path}: a complete store is there; delete it to write anew")
        part = index_path.with_name(f"{index_path.name}.part-{os.getpid()}")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(index_path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _open_partial(self) -> io.BufferedRandom:
        file = self._part.open("r+b" if self._part.exists() else "w+b")
        size = file.seek(0, os.SEEK_END)
        if size < len(self._header):
            file.truncate(0)
            file.seek(0)
            file.write(self._header)
            return file
        whole_rows = (size - len(self._header)) // self._row_bytes
        file.truncate(len(self._header) + whole_rows * self._row_bytes)
        file.seek(0, os.SEEK_END)
        return file


def batches(count: int, start: int = 0) -> Iterator[range]:
    """Yield ranges of at most BATCH rows that cover start .. count."""
    return (range(at, min(at + BATCH, count)) for at in range(start, count, BATCH))


def _npy_header(shape: tuple[int, int], dtype: np.dtype) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype.str, "fortran_order": False, "shape": shape}
    )
    return header.getvalue()


def _read_index(path: Path) -> tuple[str, list[str], tuple[int, int, str]]:
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        head = json.loads(lines[0])
        known = head["format"] == FORMAT and head["dtype"] in DTYPES
        ending, wanted = str(head["ending"]), (head["count"], head["dim"], head["dtype"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: not the index of a store") from None
    names = lines[1:-1]
    if not known or lines[-1] or len(names) != wanted[0]:
        raise ValueError(f"{path}: truncated, or of another format: {lines[0]}")
    check_paths(path, names)
    return ending, names, wanted

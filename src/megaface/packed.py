"""Packed features: one memory-mapped file in place of a million small ones.

NAME.npy    (N, D) float32 or float16, as in embedding/row_store.py: numpy.load(..., mmap_mode="r")
NAME.names  text: a JSON line {"format", "ending", "count", "dim", "dtype"}, then the N image
            names in row order, one a line
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import json
import os
from pathlib import Path

import numpy as np

from ..embedding.npy import open_npy
from ..embedding.row_store import RowWriter, how_far, partial_path
from ..files import reading_set, replace_file
from ..limits import parse_json, read_limited, shown
from ..paths import is_plain
from ..text import WRITTEN, read_text
from .features import vector_faults
from .lists import check_paths

FORMAT = 1
DTYPES = ("float32", "float16")
BATCH = 4096  # rows checked and written at a time
LARGEST_INDEX = 1 << 30  # bytes: ten million names
HEAD = (("format", int), ("ending", str), ("count", int), ("dim", int), ("dtype", str))


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
                f"{how_far(self.path)}"
            )
        with reading_set(self.path, index_path):
            self.ending, self.names, wanted = _read_index(index_path)
            self.vectors = open_npy(self.path, ndim=2, dtypes=DTYPES)
        found = (*self.vectors.shape, self.vectors.dtype.name)
        if found != wanted:
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


class StoreWriter(RowWriter):
    """Write a store row by row; a writer that was killed goes on where it stopped.

    Raises ValueError if a partial file of another list, size or type is in the way.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        names: Sequence[str],
        dim: int,
        dtype: str = "float32",
        ending: str = "",
        *,
        anew: bool = False,
    ):
        if dtype not in DTYPES:
            raise ValueError(f"{path}: dtype {dtype!r}; a store is one of {', '.join(DTYPES)}")
        if Path(path).suffix != ".npy":
            raise ValueError(f"{path}: the name of a store ends in .npy")
        check_paths(path, names)
        check_ending(path, ending)
        text = index_text(names, dim, dtype, ending)
        super().__init__(path, (len(names), dim), dtype, anew=anew)
        try:
            _take_index(Path(path), text, is_begun=self.done > 0)
        except BaseException:
            if self.done:
                self.close()
            else:
                self.discard()
            raise

    def stored(self, rows: np.ndarray) -> np.ndarray:
        """Return vectors, float (n, D), in the type of the store.

        Raises ValueError for NaN, infinity, zero length, also what float16 makes of a value
        too large or small for it.
        """
        with np.errstate(over="ignore"):
            stored = super().stored(rows)
        faults = vector_faults(stored.astype(np.float32))
        if faults:
            row, fault = next(iter(faults.items()))
            raise ValueError(f"{self.path}: row {self.done + row} as {self.dtype.name}: {fault}")
        return stored


def index_text(names: Sequence[str], dim: int, dtype: str, ending: str = "") -> str:
    """Return what the index of a store holds."""
    head = {"format": FORMAT, "ending": ending, "count": len(names), "dim": dim, "dtype": dtype}
    return json.dumps(head) + "\n" + "".join(f"{name}\n" for name in names)


def _take_index(path: Path, text: str, *, is_begun: bool) -> None:
    """Write the index, or find the same one left by an earlier start of the same job.

    It is there before the first row, and no complete store is: the two belong together whenever
    both are there.
    """
    index_path, part = path.with_suffix(".names"), partial_path(path)
    if path.exists():
        raise ValueError(f"{path}: a complete store is there; delete it to write anew")
    if not is_begun:
        with replace_file(index_path, "w", **WRITTEN) as file:
            file.write(text)
    elif not index_path.exists() or read_text(index_path, names=True) != text:
        raise ValueError(
            f"{part}: left by another job (other list, dimension or type); "
            "delete it or choose another name"
        )


def check_ending(path: str | os.PathLike, ending: str) -> None:
    """Raise ValueError for an ending that would lead a name out of its folder."""
    if ending and ("/" in ending or not is_plain(ending)):
        raise ValueError(f"{path}: {shown(ending)} is no ending of a name, such as _r100.bin")


def batches(count: int, start: int = 0) -> Iterator[range]:
    """Yield ranges of at most BATCH rows that cover start .. count."""
    return (range(at, min(at + BATCH, count)) for at in range(start, count, BATCH))


def _read_index(path: Path) -> tuple[str, list[str], tuple[int, int, str]]:
    text = read_limited(path, LARGEST_INDEX, "index of a store")
    first = text.split(b"\n", 1)[0]
    head = parse_json(first, str(path), "the index of a store")
    if not isinstance(head, dict) or any(type(head.get(key)) is not kind for key, kind in HEAD):
        raise ValueError(f"{path}: not the index of a store; its first line is {shown(first)}")
    ending, wanted = head["ending"], (head["count"], head["dim"], head["dtype"])
    if (
        head["format"] != FORMAT
        or head["dtype"] not in DTYPES
        or text.count(b"\n") != head["count"] + 1
    ):
        raise ValueError(f"{path}: truncated, or of another format: {shown(first)}")
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    check_ending(path, ending)
    names = lines[1:-1]
    if lines[-1]:
        raise ValueError(f"{path}: truncated: its last line does not end")
    check_paths(path, names)
    return ending, names, wanted

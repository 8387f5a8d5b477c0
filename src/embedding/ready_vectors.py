"""Vectors that somebody made already, out of a file: rows, and the names of their images.

    FILE.npy        (N, D), (N, 2, D) plain and flipped, or with "joined" (N, 2 D), halves of plain
                    and flipped, as published IJB scripts keep them; float32, float16, float64.
                    FILE.names beside it makes it a packed store (megaface/packed.py)
    FILE.npz        one such array, and one of names (text), if there is one
    FILE.parquet    a column of lists or fixed-size lists, and one of names; needs pyarrow
    FILE.csv        a header, then name,value,value,...

A list, FILE with a name a line or a JSON list, names the rows of a file that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
import csv
from functools import cached_property
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.network import file_fingerprint
from ..data.list_faults import two_of_each
from ..limits import shown
from ..megaface.features import vector_faults
from ..megaface.lists import read_names
from ..megaface.packed import FeatureStore
from ..registry import Registry
from ..text import finite_number, read_json, read_lines
from .npy import open_npy
from .npz import read_npz
from .parquet import parquet_modules

DTYPES = ("float32", "float16", "float64")
NAME_COLUMNS = ("name", "path", "image", "file")
OPTIONS = ("list", "joined", "key")
LARGEST_NOTE = 1 << 20  # bytes


READERS = Registry("kind of vectors")  # ending -> read(path, key) -> (array, names or None)
Read = tuple[np.ndarray, list[str] | None]


class ReadyVectors:
    """Ready vectors of a file.

    options: list (names of the rows), joined (see the module), key (name of the array or column).
    fingerprint: SHA-256 of the file.
    Raises FileNotFoundError, and ValueError for a file that holds nothing of the kind.
    """

    def __init__(self, path: str | os.PathLike, options: dict[str, str] | None = None):
        self.path, options = Path(path), options or {}
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise ValueError(
                f"{self.path}: unknown option {unknown[0]!r}; ready vectors know "
                f"{', '.join(OPTIONS)}"
            )
        if not self.path.is_file():
            raise FileNotFoundError(f"no file of vectors {self.path.absolute()}")
        self.vectors, self.names = READERS[self.path.suffix.lower()](self.path, options.get("key"))
        if self.vectors.ndim == 3 and self.vectors.shape[1] != 2:
            raise ValueError(
                f"{self.path}: holds {self.vectors.shape}; wanted are (N, D), or (N, 2, D), plain "
                "and flipped"
            )
        if not self.vectors.size:
            raise ValueError(f"{self.path}: holds no vectors: {self.vectors.shape}")
        if "list" in options:
            self.names = read_names(options["list"])
            if len(self.names) != len(self.vectors):
                raise ValueError(
                    f"{self.path}: {len(self.vectors)} vectors, but {options['list']} names "
                    f"{len(self.names)} images"
                )
        self._joined = "joined" in options
        if self._joined and (self.vectors.ndim != 2 or self.vectors.shape[1] % 2):
            raise ValueError(f"{self.path}: joined halves want (N, 2 D), it holds "
                             f"{self.vectors.shape}")  # fmt: skip

    @cached_property
    def fingerprint(self) -> str:
        return file_fingerprint(self.path)

    @property
    def is_by_order(self) -> bool:
        """Tell whether the rows have no names, or the numbers that arcface-embed gives."""
        return self.names is None or all(str(name).isdecimal() for name in self.names)

    def refuse_other_images(self, path: Path) -> None:
        """Raise ValueError if arcface-embed's note beside rows that go by order says that they are
        of another file than `path`."""
        note = self.path.with_suffix(".json")
        if not self.is_by_order or not note.is_file():
            return
        try:
            was = read_json(note, "note of vectors", limit=LARGEST_NOTE)["origin"]["images"]
        except (ValueError, KeyError, TypeError):
            return  # of something else
        if was != file_fingerprint(path):
            raise ValueError(
                f"{self.path}: {note.name} beside it says that it is of other images than {path}, "
                "or of those before it was written anew; embed them again"
            )

    @property
    def dim(self) -> int:
        """Return D."""
        return self.vectors.shape[-1] // (2 if self._joined else 1)

    def places(self, count: int, wanted: Sequence[Sequence[str]], what: str) -> np.ndarray:
        """Return the row of each of `count` images, int64 (count,).

        wanted: names that the images go by, each list `count` long; the first whose names all
        have a row is taken.  Rows without names are those of the images, in order.
        Raises ValueError if there are more or fewer, or names of no row.
        """
        if self.names is None:
            if len(self.vectors) != count:
                raise ValueError(
                    f"{self.path}: {len(self.vectors)} vectors for {count} images of {what}; give "
                    "one for each in its order, or @list=NAMES that says whose they are"
                )
            return np.arange(count)
        row_of = self._row_of
        for names in wanted:
            if all(name in row_of for name in names):
                return np.fromiter((row_of[name] for name in names), np.int64, count)
        if not wanted:
            if len(self.vectors) == count:
                return np.arange(count)
            raise ValueError(f"{self.path}: {len(self.vectors)} vectors for {count} images of "
                             f"{what}, which has no names to match")  # fmt: skip
        nearest = min(([n for n in names if n not in row_of] for names in wanted), key=len)
        sides = two_of_each(nearest, iter(self.names), (what, str(self.path)))
        raise ValueError(
            f"{self.path}: {len(self.vectors)} vectors, and none for {len(nearest)} of {count} "
            f"images of {what}; {sides}"
        )

    @cached_property
    def _row_of(self) -> dict[str, int]:
        found = {name: row for row, name in enumerate(self.names or ())}
        if len(found) < len(self.names or ()):
            raise ValueError(f"{self.path}: names an image twice")
        return found

    def rows(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (plain, flipped), float32 (n, D) each, of some rows; the same twice where the
        file has one vector an image.

        Raises ValueError naming the row of one with NaN, infinity, or zeros alone.
        """
        parts = self._parts(places)
        faults = self.faults(places, parts)
        if faults:
            position, fault = min(faults.items())
            place = int(places[position])
            name = f" ({shown(self.names[place])})" if self.names else ""
            raise ValueError(f"{self.path}: row {place}{name}: {fault}")
        return parts[0], parts[-1]

    def faults(
        self, places: np.ndarray, parts: Sequence[np.ndarray] | None = None
    ) -> dict[int, str]:
        """Return by position in places what makes a vector useless: NaN, infinity, zeros alone."""
        found: dict[int, str] = {}
        for part in self._parts(places) if parts is None else parts:
            found |= vector_faults(part)
        return found

    def _parts(self, places: np.ndarray) -> list[np.ndarray]:
        """Return [vectors], or [plain, flipped], float32 (n, D), of some rows."""
        with np.errstate(over="ignore"):
            found = np.asarray(self.vectors[places]).astype(np.float32)
        if found.ndim == 3:
            return [found[:, 0], found[:, 1]]
        return [found[:, : self.dim], found[:, self.dim :]] if self._joined else [found]


@READERS.register(".npy")
def _npy(path: Path, key: str | None) -> Read:
    if path.with_suffix(".names").is_file():
        store = FeatureStore(path)
        return store.vectors, store.names
    return open_npy(path, ndim=(2, 3), dtypes=DTYPES), None


@READERS.register(".npz")
def _npz(path: Path, key: str | None) -> Read:
    arrays = read_npz(path)
    vectors = {
        name: array for name, array in arrays.items()
        if array.ndim in (2, 3) and array.dtype.kind == "f"
    }  # fmt: skip
    if key is not None:
        vectors = {name: array for name, array in vectors.items() if name == key}
    if len(vectors) != 1:
        raise ValueError(
            f"{path}: holds {_shapes(arrays)}; wanted is one array of floats, (N, D) or (N, 2, D): "
            "@key=NAME says which"
        )
    (found,) = vectors.values()
    names = [array for array in arrays.values() if array.dtype.kind == "U" and array.ndim == 1]
    if len(names) > 1 or (names and len(names[0]) != len(found)):
        raise ValueError(f"{path}: holds {_shapes(arrays)}; wanted is one list of names, as long "
                         "as the vectors")  # fmt: skip
    return found, names[0].tolist() if names else None


def _shapes(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(
        f"{shown(name)} {array.shape} {array.dtype}" for name, array in list(arrays.items())[:10]
    )


@READERS.register(".csv")
def _csv(path: Path, key: str | None) -> Read:
    names: list[str] = []
    rows: list[np.ndarray] = []
    lines = read_lines(path, "table of vectors")
    _, head = next(lines, (0, ""))
    if not head:
        raise ValueError(f"{path}: empty; wanted are a header and name,value,..")
    if _is_row(head):
        raise ValueError(f"{path} line 1: is a vector; a header is wanted, such as name,v0,v1,..")
    for number, line in lines:
        try:
            (fields,) = csv.reader([line])
            row = np.array(fields[1:], np.float64)
            if not len(row) or (rows and len(row) != len(rows[0])):
                raise ValueError(f"{len(row)} values")
        except (ValueError, csv.Error) as error:
            wanted = f"name and {len(rows[0])} values" if rows else "name,value,value,.."
            raise ValueError(
                f"{path} line {number}: expected {wanted}: {shown(str(error))}"
            ) from None
        names.append(fields[0])
        rows.append(row.astype(np.float32))
    if not rows:
        raise ValueError(f"{path}: holds no vectors after its header")
    return np.stack(rows), names


def _is_row(line: str) -> bool:
    """Tell whether a line is a vector, not the header, of which the columns may be numbered."""
    values = line.split(",")[1:]
    if values in ([str(i + first) for i in range(len(values))] for first in (0, 1)):
        return False
    try:
        return len([finite_number(value.strip()) for value in values]) > 0
    except ValueError:
        return False


@READERS.register(".parquet")
def _parquet(path: Path, key: str | None) -> Read:
    pa, parquet = parquet_modules()
    try:
        return _columns(pa, parquet.read_table(path), path, key)
    except UnicodeDecodeError:
        reason = "a name in it is not UTF-8"
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise ValueError(f"{path}: not a Parquet file that can be read: {shown(reason)}")


def _columns(pa: Any, table: Any, path: Path, key: str | None) -> Read:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    lists = [f.name for f in table.schema if any(kind(f.type) for kind in kinds)]
    lists = [name for name in lists if key in (None, name)]
    if len(lists) != 1:
        raise ValueError(f"{path}: has the columns {shown(', '.join(table.column_names[:20]))}; "
                         "wanted is one of lists of numbers: @key=NAME says which")  # fmt: skip
    column = table.column(lists[0]).combine_chunks()
    values = column.flatten().to_numpy(zero_copy_only=False)
    is_fixed = pa.types.is_fixed_size_list(column.type)
    lengths = set() if is_fixed else set(pa.compute.list_value_length(column).to_pylist())
    is_sound = not column.null_count and values.dtype.kind == "f" and len(lengths) < 2
    if not is_sound or len(values) % max(len(table), 1):
        raise ValueError(f"{path}: column {shown(lists[0])} holds lists of several lengths, or of "
                         "no floats")  # fmt: skip
    names = next((n for n in NAME_COLUMNS if n in table.column_names), None)
    vectors = values.reshape(len(table), -1)
    return vectors, table.column(names).to_pylist() if names else None

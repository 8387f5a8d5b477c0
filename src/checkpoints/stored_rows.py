"""Some rows of the arrays of a parameter file, without reading the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .params import Reader


class Place(NamedTuple):
    """Where the values of an array lie in its file."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class _Places(Reader):
    """Reads places in place of values."""

    def _values(self, shape: tuple[int, ...], dtype: np.dtype, size: int) -> Place:
        self._file.seek(size, os.SEEK_CUR)
        return Place(self._offset - size, shape, dtype)


class StoredRows:
    """A parameter file whose arrays are read row by row.  Raises as read_params() does."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise FileNotFoundError(f"no parameter file {path.absolute()}")
        self.path = path
        with path.open("rb") as file:
            self.places = _Places(file, os.fstat(file.fileno()).st_size, str(path)).arrays()

    def number(self, name: str) -> int | None:
        """Return the value of an array of one int64, None if there is no such array."""
        place = self.places.get(name)
        if place is None or place.dtype != np.int64 or place.shape != (1,):
            return None
        with self.path.open("rb") as file:
            file.seek(place.offset)
            return int.from_bytes(file.read(8), "little", signed=True)

    def read(self, name: str, begin: int, rows: np.ndarray) -> None:
        """Write the array's rows from `begin` on into `rows`, C-contiguous float32.

        Raises ValueError for rows that it does not have: behind them lies another array.
        """
        place, end = self.places[name], begin + len(rows)
        fits = place.dtype == np.float32 and place.shape[1:] == rows.shape[1:]
        if not fits or not 0 <= begin <= end <= place.shape[0]:
            raise ValueError(
                f"{self.path}: {name} is {place.dtype} {place.shape}, and has no rows {begin} to "
                f"{end} of float32 {rows.shape[1:]}"
            )
        each = rows[:1].nbytes
        with self.path.open("rb") as file:
            file.seek(place.offset + begin * each)
            if file.readinto(rows.reshape(-1).view(np.uint8).data) != rows.nbytes:
                raise ValueError(f"{self.path}: {name} was cut off while it was read")

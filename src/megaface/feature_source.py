"""Where features are read from: a folder of the kit's files, a packed store, or ready vectors of
another form, .npz, .csv, .parquet, or .npy with a list of names (embedding/ready_vectors.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..data.list_faults import two_of_each
from ..embedding.ready_vectors import ReadyVectors
from ..embedding.source_text import SourceText, parse_source
from ..embedding.vectors import unit_rows
from ..errors import reason_of
from ..limits import open_file
from .features import feature_dim, file_fault, read_features, vector_faults
from .packed import FeatureStore

READ_AT_ONCE = 2048  # files in one call


class FeatureFolder:
    """The kit's layout: ROOT/NAME + ENDING, one file per image.

    names: the images wanted, in order.  Rows are positions in names.
    """

    def __init__(self, root: str | os.PathLike, names: Sequence[str], ending: str):
        self.path, self.names, self.ending = Path(root), list(names), ending
        if not self.path.is_dir():
            raise FileNotFoundError(f"{self.path}: no such feature folder or store (.npy)")
        self.dim = self._first_dim()

    def there(self) -> Iterator[str]:
        """Yield names that have a feature, on the list or not, as they come: for messages."""
        for place, folders, files in os.walk(self.path):
            folders.sort()
            for file in sorted(files):
                name = os.path.relpath(os.path.join(place, file), self.path)  # noqa: PTH118
                yield name.removesuffix(self.ending)

    def faults(self) -> dict[int, str]:
        """Return by row what is wrong with a file, without reading past its header."""
        wrong = {}
        for row, name in enumerate(
            tqdm(self.names, desc=f"check {self.path.name}", unit="file", disable=None)
        ):
            path = self._path(name)
            try:
                size = os.stat(path).st_size  # noqa: PTH116  a million Path objects are slow
            except OSError:
                wrong[row] = "missing"
                continue
            if size != 16 + 4 * self.dim:
                wrong[row] = self._fault(path, size)
        return wrong

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of rows, float32 (n, D).  Raises ValueError naming a bad file."""
        vectors = np.empty((len(rows), self.dim), np.float32)
        for start in range(0, len(rows), READ_AT_ONCE):
            paths = [self._path(self.names[row]) for row in rows[start : start + READ_AT_ONCE]]
            _, faults = read_features(paths, self.dim, vectors[start : start + READ_AT_ONCE])
            if faults:
                position, fault = next(iter(faults.items()))
                raise ValueError(f"{paths[position]}: {fault}")
        return vectors

    def useless(self, rows: np.ndarray) -> dict[int, str]:
        """Return by row what is wrong with the values of vectors: NaN, infinity, zeros."""
        _, faults = read_features([self._path(self.names[row]) for row in rows], self.dim)
        return {int(rows[position]): fault for position, fault in faults.items()}

    def _fault(self, path: str, size: int) -> str:
        """Return what is wrong with a file of another size than features have."""
        try:
            with open_file(path, "feature file") as file:
                return file_fault(file.read(16), self.dim, size) or "of another size"
        except (OSError, ValueError) as error:
            return f"cannot be read: {reason_of(error)}"

    def _path(self, name: str) -> str:
        return f"{self.path}/{name}{self.ending}"

    def _first_dim(self) -> int:
        """Return the dimension most of the first files have, so that one bad file is named."""
        dims = []
        for name in self.names:
            try:
                dims.append(feature_dim(self._path(name)))
            except (ValueError, OSError):
                continue
            if len(dims) == 5:
                break
        if not dims:
            raise FileNotFoundError(
                f"{self._path(self.names[0])}: no feature of the list is readable under "
                f"{self.path}; is the file ending {self.ending!r} right? "
                + two_of_each(self.names, self.there(), ("the list", str(self.path)))
            )
        return max(sorted(set(dims)), key=dims.count)


class StoredFeatures:
    """The images wanted out of a packed store.  Rows are positions in names."""

    def __init__(self, path: str | os.PathLike, names: Sequence[str]):
        self.store = FeatureStore(path)
        self.path, self.names, self.dim = self.store.path, list(names), self.store.dim
        self._rows = self.store.find(self.names)

    def there(self) -> Iterator[str]:
        """Yield names that have a row, on the list or not: for messages."""
        return iter(self.store.names)

    def faults(self) -> dict[int, str]:
        """Return the rows that the store does not have."""
        return {int(row): "missing" for row in np.flatnonzero(self._rows < 0)}

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of rows, float32 (n, D).  Raises ValueError naming a bad one."""
        vectors = self.store.read(self._rows[rows])
        for position, fault in vector_faults(vectors).items():
            raise ValueError(f"{self.path}: {self.names[rows[position]]}: {fault}")
        return vectors

    def useless(self, rows: np.ndarray) -> dict[int, str]:
        """Return by row what is wrong with the values of vectors: NaN, infinity, zeros."""
        faults = vector_faults(self.store.read(self._rows[rows]))
        return {int(rows[position]): fault for position, fault in faults.items()}


class ReadyFeatures:
    """The images wanted out of ready vectors: plain + flipped where both are there, of unit
    length.  Rows are positions in names.

    Raises ValueError if the vectors have no names: MegaFace's lists cannot be matched by order.
    """

    def __init__(self, source: SourceText, names: Sequence[str]):
        self.ready = ReadyVectors(source.model, source.options)
        self.path, self.names, self.dim = self.ready.path, list(names), self.ready.dim
        if self.ready.names is None:
            raise ValueError(
                f"{self.path}: vectors without names: give FILE@list=NAMES, a name a line, as the "
                "lists of MegaFace have them"
            )
        row_of = {name: row for row, name in enumerate(self.ready.names)}
        self._rows = np.fromiter((row_of.get(name, -1) for name in names), np.int64, len(names))

    def there(self) -> Iterator[str]:
        """Yield names that have a row, on the list or not: for messages."""
        return iter(self.ready.names)

    def faults(self) -> dict[int, str]:
        """Return the rows that the vectors do not have."""
        return {int(row): "missing" for row in np.flatnonzero(self._rows < 0)}

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of rows, float32 (n, D).  Raises ValueError naming a bad one."""
        plain, flipped = self.ready.rows(self._rows[rows])
        return unit_rows(plain if flipped is plain else plain + flipped)

    def useless(self, rows: np.ndarray) -> dict[int, str]:
        """Return by row what is wrong with the values of vectors: NaN, infinity, zeros."""
        faults = self.ready.faults(self._rows[rows])
        return {int(rows[position]): fault for position, fault in faults.items()}


def open_features(
    place: str | os.PathLike, names: Sequence[str], ending: str
) -> FeatureFolder | StoredFeatures | ReadyFeatures:
    """Return the features of names in a folder, in a store (FILE.npy), or in ready vectors."""
    source = parse_source(os.fspath(place))
    if Path(place).is_dir() or not source.is_vectors:
        return FeatureFolder(place, names, ending)
    is_store = Path(source.model).suffix == ".npy" and not source.options
    return StoredFeatures(source.model, names) if is_store else ReadyFeatures(source, names)

"""The headers of a scanned file by key: record 0 and identity records are read as by a reader."""

from __future__ import annotations

import numpy as np

from .scan import Scan


class Keyed:
    """What RecordReader offers of headers, from a scan.

    keys: int64 (n,) of its rows, -1 for none.  index: keys and offsets of the .idx, or None.
    """

    def __init__(
        self, table: Scan, keys: np.ndarray, index: tuple[np.ndarray, np.ndarray] | None
    ):  # fmt: skip
        self.rec_path = table.path
        self._table = table
        rows = np.flatnonzero(keys >= 0)
        self._rows = rows[np.argsort(keys[rows], kind="stable")]
        self._keys = keys[self._rows]
        # Damaged records have a key, too, but no row.
        self.sorted_keys = np.unique(keys[rows] if index is None else index[0])

    def __len__(self) -> int:
        return len(self.sorted_keys)

    def __contains__(self, key: int) -> bool:
        place = np.searchsorted(self._keys, key)
        return bool(place < len(self._keys) and self._keys[place] == key)

    def headers(self, keys: np.ndarray) -> np.ndarray:
        """Return the headers of keys, structured (K,); size -1 for absent or damaged records."""
        out = np.zeros(len(keys), self._table.headers.dtype)
        out["size"] = -1
        keys = np.asarray(keys)
        if len(self._keys):
            place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            there = self._keys[place] == keys
            out[there] = self._table.headers[self._rows[place[there]]]
        return out

"""The work of arcface-embed between a start and a kill: what is done of it, image by image.

Beside OUTPUT, until that is written:
    OUTPUT.work.json         what the vectors depend on; another job is refused
    OUTPUT.work.tsv          a line for each image that was tried: why it failed or "", facts
    OUTPUT.work.npy.partial  a row for each, zeros where it failed
A line is on the disk before its row, so the rows say how far the work is.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import os
from pathlib import Path

import numpy as np

from ..files import naming, replace_file
from ..text import WRITTEN, read_json, read_text
from .npy import open_npy
from .row_store import RowWriter, has_rows

LARGEST_NOTE = 1 << 20  # bytes
LARGEST_TABLE = 1 << 32


class Work:
    """Rows and facts of `count` images, begun or gone on with.

    origin: what the vectors depend on.  columns: number of facts in a line, after the reason.
    done: images that were tried.  Raises ValueError if another job's work lies there.
    """

    def __init__(self, output: Path, origin: dict[str, str], count: int, columns: int):
        self._note, self._table = Path(f"{output}.work.json"), Path(f"{output}.work.tsv")
        self._store = Path(f"{output}.work.npy")
        self.count, self._columns = count, columns
        self._origin = origin
        self._writer: RowWriter | None = None
        self._file = None
        self.done, self.dimension = 0, 0
        known = self._known()
        if known:
            self._go_on(known)

    def _known(self) -> int:
        """Return the dimension of work that was begun, 0 for none."""
        if not self._note.is_file():
            return 0
        note = read_json(self._note, "note of embedding", limit=LARGEST_NOTE)
        before = note.get("origin") if isinstance(note, dict) else None
        if not isinstance(before, dict) or type(note.get("dimension")) is not int:
            raise ValueError(f"{self._note}: not a note of embedding; delete it")
        now = self._origin | {"count": str(self.count)}
        if before != now:
            other = sorted(key for key in before | now if before.get(key) != now.get(key))
            raise ValueError(
                f"{self._note}: work of another job lies there (other {', '.join(other)}); delete "
                f"{self._note.name} and what is named like it, or choose another output"
            )
        is_begun = self._store.is_file() or has_rows(self._store)
        return note["dimension"] if is_begun else 0

    def _go_on(self, dimension: int) -> None:
        self.dimension = dimension
        if self._store.is_file():
            self.done = self.count
            return
        self._writer = RowWriter(self._store, (self.count, dimension), np.float32)
        self.done = self._writer.done
        lines = self._lines()[: self.done]
        if len(lines) < self.done:
            raise self._damaged(len(lines), self.done)
        with replace_file(self._table, "w", **WRITTEN) as file:
            file.writelines("\t".join(fields) + "\n" for fields in lines)

    def add(self, vectors: np.ndarray, facts: Sequence[Sequence[str]]) -> None:
        """Append the rows (n, D) of images and their lines: reason, facts."""
        if self._writer is None:
            self._begin(vectors.shape[1])
        if self._file is None:
            self._file = self._table.open("a", **WRITTEN)
        with naming(self._table):
            self._file.writelines("\t".join(fields) + "\n" for fields in facts)
            self._file.flush()
            os.fsync(self._file.fileno())
        self._writer.write(vectors)
        self._writer.sync()
        self.done += len(vectors)

    def _begin(self, dimension: int) -> None:
        self._table.unlink(missing_ok=True)
        self._writer = RowWriter(self._store, (self.count, dimension), np.float32, anew=True)
        self.dimension = dimension
        with replace_file(self._note, "w", encoding="utf-8") as file:
            origin = self._origin | {"count": str(self.count)}
            json.dump({"origin": origin, "dimension": dimension}, file)

    def close(self) -> None:
        """Leave what is done for the next start."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def result(self) -> tuple[np.ndarray, list[list[str]]]:
        """Return the rows, mapped (count, D), and the fields of each line, when all are done."""
        self.close()
        rows, lines = open_npy(self._store, ndim=2, dtypes=("float32",)), self._lines()
        if len(rows) != self.count or len(lines) != self.count:
            raise self._damaged(len(lines), len(rows))
        return rows, lines

    def _damaged(self, lines: int, rows: int) -> ValueError:
        return ValueError(
            f"{self._table}: {lines} lines for {rows} rows of {self.count} images; delete it, "
            f"{self._note.name} and {self._store.name} or its partial file"
        )

    def remove(self) -> None:
        """Remove the work, once what was made of it is written."""
        for path in (self._note, self._table, self._store):
            path.unlink(missing_ok=True)

    def _lines(self) -> list[list[str]]:
        """Return the fields of whole lines; one that a kill cut off is left out."""
        if not self._table.is_file():
            return []
        text = read_text(self._table, "table of work", names=True, limit=LARGEST_TABLE)
        lines = [line.split("\t") for line in text.split("\n")[:-1]]
        return [fields for fields in lines if len(fields) == self._columns + 1]

"""Files of vectors and their index, as arcface-embed writes them; ready_vectors.py reads them.

    FILE.npy       a packed store (megaface/packed.py): float32 (N, D), and FILE.names
    FILE.csv       name,v0,v1,..: a header, then a line a vector, digits enough for float32
    FILE.parquet   columns name (text) and vector (fixed-size lists of float32); needs pyarrow
and beside each
    FILE.index.tsv     name, identity, path, and what is known of the face: a line a vector
    FILE.failures.tsv  name and reason of each image without a vector; absent if there is none
    FILE.json          what the vectors depend on, and how many there are
All appear together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import csv
import io
import json
from pathlib import Path

import numpy as np

from ..files import replace_set
from ..megaface.packed import index_text
from ..paths import NOT_UTF8
from ..registry import Registry
from ..text import WRITTEN
from .parquet import parquet_modules
from .row_store import npy_header

ROWS_AT_ONCE = 4096
FLOAT32 = np.dtype("<f4")
# ending -> write(open file, names, rows(start, stop), dim)
WRITERS = Registry("form of vectors", "OUTPUT")
Rows = Callable[[slice], np.ndarray]


def members(path: Path) -> tuple[Path, ...]:
    """Return the files of an output, its own first."""
    beside = [path.with_suffix(".names")] if path.suffix == ".npy" else []
    return (path, *beside, *(path.with_suffix(end) for end in (
        ".index.tsv", ".failures.tsv", ".json")))  # fmt: skip


def check_form(path: Path, names: Sequence[str]) -> None:
    """Raise ValueError, before the first image is embedded, for a form that cannot be written."""
    WRITERS[path.suffix]  # a known one
    if path.suffix == ".parquet":
        parquet_modules()
        bad = [name for name in names if NOT_UTF8.search(name)]
        if bad:
            raise ValueError(
                f"{path}: {len(bad)} names of images are not UTF-8, such as {bad[0]!r}; Parquet "
                "holds no others: name FILE.npy or FILE.csv"
            )


def write_vectors(
    path: Path,
    names: Sequence[str],
    rows: Rows,
    dim: int,
    index: Sequence[Sequence[str]],
    failures: Sequence[Sequence[str]],
    note: dict,
) -> None:
    """Write the files of an output.

    rows(part): float32 (n, D) of a part of the names.  index: its lines, the header first.
    """
    table, failed, about = members(path)[-3:]
    with replace_set(*members(path)) as files:
        WRITERS[path.suffix](files.open(path), names, rows, dim)
        if path.suffix == ".npy":
            store = files.open(path.with_suffix(".names"), "w", **WRITTEN)
            store.write(index_text(names, dim, FLOAT32.name))
        for place, lines in ((table, index), (failed, failures)):
            if lines:
                text = files.open(place, "w", **WRITTEN)
                text.writelines("\t".join(fields) + "\n" for fields in lines)
        json.dump(note, files.open(about, "w", encoding="utf-8"), indent=1)


def _parts(count: int) -> list[slice]:
    return [slice(at, min(at + ROWS_AT_ONCE, count)) for at in range(0, count, ROWS_AT_ONCE)]


@WRITERS.register(".npy")
def _npy(file, names: Sequence[str], rows: Rows, dim: int) -> None:
    file.write(npy_header((len(names), dim), FLOAT32))
    for part in _parts(len(names)):
        file.write(rows(part).astype(FLOAT32).tobytes())


@WRITERS.register(".csv")
def _csv(file, names: Sequence[str], rows: Rows, dim: int) -> None:
    text = io.TextIOWrapper(file, write_through=True, **WRITTEN)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *(f"v{column}" for column in range(dim))])
    for part in _parts(len(names)):
        for name, row in zip(names[part], rows(part), strict=True):
            writer.writerow([name, *(f"{value:.9g}" for value in row)])
    text.detach()


@WRITERS.register(".parquet")
def _parquet(file, names: Sequence[str], rows: Rows, dim: int) -> None:
    pa, parquet = parquet_modules()
    kind = pa.list_(pa.float32(), dim)
    schema = pa.schema([("name", pa.string()), ("vector", kind)])
    with parquet.ParquetWriter(file, schema) as writer:
        for part in _parts(len(names)):
            values = pa.array(rows(part).astype(np.float32).ravel())
            vectors = pa.FixedSizeListArray.from_arrays(values, dim)
            writer.write_table(pa.table([pa.array(names[part]), vectors], schema=schema))

"""What is known of the pairs of a set beside images and names: NAME.columns.tsv.

Text: a line of names, then a line for each of the P pairs in their order, with as many fields, TABs
between them; a field may be empty.  Each column says something of the pairs, such as the groups by
which rates are compared; the column "failed" says where no face was found (failures.py).  Lists of
pairs (pair_lists.py) may have such columns, and a pair set that came without a list gets them by
writing this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..limits import shown
from ..text import BLANKS, read_lines

MOST_COLUMNS = 100
LONGEST_NAME = 100  # characters


def read_columns(path: Path, num_pairs: int) -> dict[str, list[str]]:
    """Return the P values of each column; nothing if there is no such file.

    Raises ValueError naming the line that is wrong.
    """
    if not path.is_file():
        return {}
    lines = read_lines(path, "columns of a pair set", exact=True)
    rows = [(number, [field.strip(BLANKS) for field in line.split("\t")]) for number, line in lines]
    if not rows:
        raise ValueError(f"{path}: is empty; its first line names the columns")
    names = checked_names(rows[0][1], f"{path} line 1")
    values = rows[1:]
    if len(values) != num_pairs:
        raise ValueError(
            f"{path}: has {len(values)} lines after the first, which names the columns; the set "
            f"has {num_pairs} pairs; remove it if it belongs to another pair set"
        )
    columns: dict[str, list[str]] = {name: [] for name in names}
    for number, fields in values:
        for name, value in zip(names, padded(fields, len(names), f"{path} line {number}"),
                               strict=True):  # fmt: skip
            columns[name].append(value)
    return columns


def checked_names(names: Sequence[str], where: str) -> list[str]:
    """Return the names of columns.  Raises ValueError that begins with where for what is none."""
    bad = [name for name in names if not name or len(name) > LONGEST_NAME or not name.isprintable()]
    if bad or not names:
        raise ValueError(f"{where}: {(bad or [''])[0][:LONGEST_NAME]!r} is no name of a column")
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ValueError(f"{where}: two columns are called {twice!r}")
    if len(names) > MOST_COLUMNS:
        raise ValueError(f"{where}: {len(names)} columns; at most {MOST_COLUMNS} are taken")
    return list(names)


def padded(fields: Sequence[str], count: int, where: str) -> list[str]:
    """Return the fields of a line, empty ones in the place of those missing at its end.

    Raises ValueError that begins with where if there are more than count.
    """
    if len(fields) > count:
        raise ValueError(f"{where}: {len(fields)} fields; the first line names {count} columns")
    return [*fields, *[""] * (count - len(fields))]


def column_lines(columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the lines of the file.  Raises ValueError for a field that a line cannot hold."""
    checked_names(list(columns), "columns of a pair set")
    yield "\t".join(columns) + "\n"
    for row in zip(*columns.values(), strict=True):
        if any("\t" in field or len(field.splitlines()) > 1 for field in row):
            raise ValueError(f"{shown(row)}: a field of a column has no TAB and no line break")
        yield "\t".join(row) + "\n"

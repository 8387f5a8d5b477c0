"""plan.tsv: what is to be done with which image; people may edit it before it is applied.

    key <TAB> identity <TAB> name <TAB> action <TAB> target <TAB> reason <TAB> score <TAB> other

A line for each image that does not stay as it is, after a header line.  action: drop, move (to the
identity `target`), look (nothing is done).  score: what spoke for it, a cosine (of `few`: images).
other: key of the other image, or identity, that the reason is about, or the name in a reference.
To keep an image delete its line, or write keep for its action.  Only key, identity, action and
target are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..data.labels import MOST
from ..files import replace_file
from ..limits import shown
from ..text import WRITTEN, read_lines, whole_number
from .decisions import ACTIONS, DROP, KEEP, MOVE

COLUMNS = ("key", "identity", "name", "action", "target", "reason", "score", "other")
MOST_KEYS = 1 << 62


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; tabs and line ends in words become blanks."""
    with replace_file(path, "w", **WRITTEN) as file:
        file.write("\t".join(columns) + "\n")
        for row in rows:
            file.write("\t".join(" ".join(str(value).split()) for value in row) + "\n")


def read_plan(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return keys, identities, actions (0..3) and targets (-1: none) of the lines that do
    something, int64 (n,) each.

    Raises FileNotFoundError, or ValueError that names the line for one that cannot be read.
    """
    lines = read_lines(path, "plan", exact=True)
    _, head = next(lines, (0, ""))
    columns = head.split("\t")
    missing = [name for name in ("key", "identity", "action", "target") if name not in columns]
    if missing:
        raise ValueError(
            f"{path} line 1: expected the columns {', '.join(COLUMNS)}; {missing[0]} is missing"
        )
    places = [columns.index(name) for name in ("key", "identity", "action", "target")]
    rows, seen = [], set()
    for number, line in lines:
        fields = line.split("\t")
        if not line.strip():
            continue
        try:
            if len(fields) <= max(places):
                raise ValueError(f"{len(fields)} fields, the header has {len(columns)}")
            key, identity, action, target = (fields[place].strip() for place in places)
            if action not in ACTIONS:
                raise ValueError(f"action {shown(action)}: give one of {', '.join(ACTIONS)}")
            row = [whole_number(key, 0, MOST_KEYS), whole_number(identity, 0, MOST - 1),
                   ACTIONS.index(action), -1]  # fmt: skip
            if row[2] == MOVE:
                row[3] = whole_number(target, 0, MOST - 1)
            if row[0] in seen:
                raise ValueError(f"key {key} has a line already")
        except ValueError as error:
            raise ValueError(f"{path} line {number}: {error}") from None
        seen.add(row[0])
        if row[2] in (DROP, MOVE):
            rows.append(row)
    table = np.array(rows, np.int64).reshape(-1, 4)
    table[table[:, 2] == KEEP, 3] = -1
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]

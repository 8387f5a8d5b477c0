"""Numbers and names of identities as options and files give them."""

from __future__ import annotations

from pathlib import Path
import re

from ..limits import shown
from ..text import read_lines, whole_number
from .labels import MOST


def numbers_of(text: str) -> set[int]:
    """Return the numbers of "0,5,10-19", empty for an empty text.  Raises ValueError."""
    numbers: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part)
        first, last = (int(n) if n else None for n in found.groups()) if found else (None, None)
        if first is None or (last is not None and last < first):
            raise ValueError(f"--identities {part!r}: give numbers and ranges, such as 0,5,10-19")
        if max(first, last or 0) >= MOST:
            raise ValueError(f"--identities {part!r}: the numbers end with {MOST - 1:,}")
        numbers.update(range(first, (first if last is None else last) + 1))
    return numbers


def names_of(folder: Path) -> dict[int, str]:
    """Return the names that train.names gives to the numbers, empty if there is no such file.

    Raises ValueError as read_names() does.
    """
    return read_names(folder / "train.names")


def read_names(path: Path) -> dict[int, str]:
    """Return the names of identities by number, empty if there is no such file.

    Lines of NUMBER<TAB>NAME.  Raises ValueError for others.
    """
    if not path.is_file():
        return {}
    names: dict[int, str] = {}
    for line, text in read_lines(path, "list of names", exact=True):
        key, tab, name = text.partition("\t")
        try:
            number = whole_number(key, 0, MOST - 1)
        except ValueError:
            number = -1
        if number < 0 or not tab:
            raise ValueError(f"{path} line {line}: {shown(text)} is not NUMBER<TAB>NAME")
        if names.setdefault(number, name) != name:
            raise ValueError(f"{path} line {line}: {number} is named a second time")
    return names

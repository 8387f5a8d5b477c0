"""Numbers and names of identities as options and files give them."""

from __future__ import annotations

from pathlib import Path
import re

from .labels import MOST


def numbers_of(text: str) -> set[int]:
    """Return the numbers of "0,5,10-19", empty for an empty text.  Raises ValueError."""
    numbers: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(n) if n else None for n in found.groups()) if found else (None, None)
        if first is None or (last is not None and last < first):
            raise ValueError(f"--identities {part!r}: give numbers and ranges, such as 0,5,10-19")
        if max(first, last or 0) >= MOST:
            raise ValueError(f"--identities {part!r}: the numbers end with {MOST - 1:,}")
        numbers.update(range(first, (first if last is None else last) + 1))
    return numbers


def names_of(folder: Path) -> dict[int, str]:
    """Return the names that train.names gives to the numbers, empty if there is no such file.

    Lines of NUMBER<TAB>NAME.  Raises ValueError for others.
    """
    path = folder / "train.names"
    if not path.is_file():
        return {}
    names = {}
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            key, tab, name = line.rstrip("\n").partition("\t")
            if not key.isdecimal() or not tab:
                raise ValueError(f"{path} line {number}: expected NUMBER<TAB>NAME")
            names[int(key)] = name
    return names

"""Lists of images to pack: the published .lst file, or a folder with one folder per identity.

A line of a .lst file, separated by TABs:

    1 or 0 (aligned) | image path | identity [| x1 y1 x2 y2 | ten landmark numbers]

The box is four whole numbers; the landmarks are x of the five points, then y of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
import os
from pathlib import Path

import numpy as np

from ..limits import shown
from ..paths import inside
from ..text import finite_number, read_lines, whole_number
from .folders import folder_images

MAX_FAULTS = 10  # of a list, shown in one message
MAX_IDENTITY = (1 << 24) - 1  # of the float32 that a record keeps it in
TRUST = "if you trust the list, give a --root that holds all its images"


@dataclass(frozen=True)
class Entry:
    """One image to pack.  place says where it was listed; landmarks: (5, 2), x and y."""

    path: Path
    identity: int
    place: str
    is_aligned: bool = True
    landmarks: np.ndarray | None = None

    @property
    def is_left_out(self) -> bool:
        """As published: neither aligned nor with landmarks to align it by."""
        return not self.is_aligned and self.landmarks is None


def read_list(list_path: str | os.PathLike, root: str | os.PathLike | None = None) -> list[Entry]:
    """Return the entries of a .lst file, in its order.

    Paths are relative to root (none: the folder of the list) and must lie in it.
    Raises ValueError that names the first faulty lines and says what is wrong with each.
    """
    list_path = Path(list_path)
    root = Path(root) if root is not None else list_path.parent
    entries, faults = [], []
    for number, line in read_lines(list_path, "list of images"):
        try:
            entries.append(_parse(line, root, f"{list_path.name} line {number}"))
        except ValueError as error:
            faults.append(f"{list_path} line {number}: {error}")
            if len(faults) == MAX_FAULTS:
                faults.append("...")
                break
    if faults:
        raise ValueError("\n".join(faults))
    if not entries:
        raise ValueError(f"{list_path}: holds no image")
    return entries


def _parse(line: str, root: Path, place: str) -> Entry:
    """Return the entry of one line.  Raises ValueError that says what is wrong with it."""
    fields = line.split("\t")
    if len(fields) not in (3, 7, 17):
        raise ValueError(
            f"has {len(fields)} fields separated by TAB; 3, with a box 7, with landmarks 17 are "
            "allowed: aligned, path, identity, 4 box numbers, 10 landmark numbers"
        )
    if fields[0] not in ("0", "1"):
        raise ValueError(f"begins with {shown(fields[0])}; 1 means aligned, 0 not")
    if not fields[1] or "\0" in fields[1]:
        raise ValueError("has no path")
    try:
        identity = whole_number(fields[2].strip(), 0, MAX_IDENTITY)
        numbers = np.array([finite_number(field.strip()) for field in fields[3:]])
    except ValueError as error:
        raise ValueError(
            f"needs numbers after the path; an identity must be from 0 to {MAX_IDENTITY}: {error}"
        ) from None
    landmarks = numbers[4:].reshape(2, 5).T if len(fields) == 17 else None
    path = inside(root, fields[1], cure=TRUST)
    return Entry(path, identity, place, fields[0] == "1", landmarks)


def list_folder(
    folder: str | os.PathLike, identities: Iterable[str] | None = None
) -> tuple[list[Entry], list[str]]:
    """Return the entries of folder/IDENTITY/IMAGE and the names of identities 0, 1, ...

    identities restricts and orders them; otherwise they stand in the order of their names.
    Raises FileNotFoundError for a missing folder, ValueError if there are no images.
    """
    images = folder_images(folder, identities)
    names = list(dict.fromkeys(name for name, _ in images))
    numbers = {name: number for number, name in enumerate(names)}
    return [Entry(path, numbers[name], str(path)) for name, path in images], names


def group(entries: Sequence[Entry]) -> tuple[list[Entry], bool]:
    """Return the entries with those of one identity together, ascending, and whether any was
    moved.  Within an identity the order stays."""
    identities = np.array([entry.identity for entry in entries])
    if (np.diff(identities) >= 0).all():
        return list(entries), False
    return [entries[place] for place in np.argsort(identities, kind="stable")], True


def relabel(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Return the entries with identities numbered 0, 1, ... without gaps, and the old numbers."""
    old = sorted({entry.identity for entry in entries})
    new = {identity: number for number, identity in enumerate(old)}
    return [replace(entry, identity=new[entry.identity]) for entry in entries], list(map(str, old))


def check_numbers(entries: Sequence[Entry], list_path: str | os.PathLike) -> None:
    """Raise ValueError unless the identities are 0, 1, ... without gaps."""
    present = sorted({entry.identity for entry in entries})
    gaps = [wanted for wanted, found in enumerate(present) if wanted != found]
    if gaps:
        raise ValueError(
            f"{list_path}: has {len(present)} identities up to number {present[-1]}, but none "
            f"with number {gaps[0]}; the classifier needs 0, 1, 2, ...: give --relabel to number "
            "them anew"
        )

"""Lists of images to pack: the published .lst file or im2rec's (list_forms.py has the lines), or
a folder with one folder per identity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
import logging
import os
from pathlib import Path

import numpy as np

from ..paths import inside
from ..text import read_lines
from .folders import folder_images
from .list_faults import missing_message
from .list_forms import IM2REC, parse_line

log = logging.getLogger(__name__)

MAX_FAULTS = 10  # of a list, shown in one message
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


def read_list(
    list_path: str | os.PathLike, root: str | os.PathLike | None = None, *, are_aligned: bool = True
) -> list[Entry]:
    """Return the entries of a .lst file, in its order.

    Paths are relative to root (none: the folder of the list) and must lie in it.  are_aligned:
    what images are taken for in lines of im2rec's form, which do not say.
    Raises ValueError that names the first faulty lines and says what is wrong with each.
    """
    list_path = Path(list_path)
    root = Path(root) if root is not None else list_path.parent
    entries, faults = [], []
    forms: dict[str, int] = {}  # the first line of each
    for number, line in read_lines(list_path, "list of images"):
        try:
            listed = parse_line(line)
            entry = Entry(
                inside(root, _name_of(root, listed.name), cure=TRUST), listed.identity,
                f"{list_path.name} line {number}",
                are_aligned if listed.form == IM2REC else listed.is_aligned, listed.landmarks,
            )  # fmt: skip
            forms.setdefault(listed.form, number)
            if len(forms) > 1:
                raise ValueError(
                    f"is of {listed.form if listed.form == IM2REC else 'the published'} form, "
                    f"line {min(forms.values())} is not: one list has one form"
                )
            entries.append(entry)
        except ValueError as error:
            faults.append(f"{list_path} line {number}: {error}")
            if len(faults) == MAX_FAULTS:
                faults.append("...")
                break
    if faults:
        raise ValueError("\n".join(faults))
    if not entries:
        raise ValueError(f"{list_path}: holds no image")
    if IM2REC in forms:
        log.info(
            "%s: lines `index, label, path` as im2rec writes them; the images are taken for %s",
            list_path, "aligned crops" if are_aligned else "photos to align",
        )  # fmt: skip
    _warn_of_two_people(entries, list_path)
    return entries


def _warn_of_two_people(entries: Sequence[Entry], list_path: Path) -> None:
    """Log which crops a list gives to several identities; a photo to align may show several."""
    first: dict[Path, Entry] = {}
    count, shown = 0, None
    for entry in entries:
        if entry.is_aligned and first.setdefault(entry.path, entry).identity != entry.identity:
            count += 1
            shown = shown or (first[entry.path], entry)
    if shown:
        one, other = shown
        log.warning(
            "%s: %d lines give a crop to another identity than a line before: %s is identity %d "
            "in line %s and %d in line %s",
            list_path, count, one.path, one.identity, one.place.rpartition(" ")[2],
            other.identity, other.place.rpartition(" ")[2],
        )  # fmt: skip


def _name_of(root: Path, name: str) -> str:
    """Return the name of the file that a list means: as it stands, or with the blanks around it cut
    off and slashes for the backslashes of Windows, where there is no file of that name."""
    plain = name.strip().replace("\\", "/")
    return name if plain == name or (root / name).is_file() else plain


def list_folder(
    folder: str | os.PathLike, identities: Iterable[str] | None = None, *, strict: bool = False
) -> tuple[list[Entry], list[str]]:
    """Return the entries of folder/IDENTITY/IMAGE and the names of identities 0, 1, ...

    identities restricts and orders them; otherwise they stand in the order of their names.
    Raises FileNotFoundError for a missing folder, ValueError if there are no images, or for
    strict anything but images of identities.
    """
    images = folder_images(folder, identities, strict=strict)
    names = list(dict.fromkeys(name for name, _ in images))
    broken = [name for name in names if "\n" in name or "\r" in name]
    if broken:
        raise ValueError(
            f"{folder}: {len(broken)} names hold a line break, such as {broken[0]!r}: rename them, "
            "train.names has a line for each"
        )
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


def check_files(
    entries: Sequence[Entry], list_path: str | os.PathLike, root: str | os.PathLike | None = None
) -> None:
    """Raise ValueError that counts and names the files of a list that are missing, before any is
    read.  root: as for read_list."""
    wanted = [entry for entry in entries if not entry.is_left_out]
    missing = [entry for entry in wanted if not os.path.isfile(entry.path)]  # noqa: PTH113
    if missing:
        root = Path(root) if root is not None else Path(list_path).parent
        raise ValueError(missing_message(
            list_path, root, [entry.path for entry in missing], len(wanted),
            [f"{entry.place}: {entry.path}: missing" for entry in missing],
            "bring them, take them off the list, or give --skip-bad",
        ))  # fmt: skip

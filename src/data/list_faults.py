"""What is wrong with a list, told at once: every bad entry counted, the first of them shown, and
where almost nothing of a list is there, two names of each side, so that the difference is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
import os
from pathlib import Path

from ..limits import shown
from .image_files import is_image, is_left_behind

LONGEST_NAME = 300  # characters of it in a message

MAX_SHOWN = 10  # bad entries in one message
LEAST_SHARE = 0.1  # of a list that must be found for it to be of the same data


def all_faults(head: str, faults: Sequence[str], cure: str = "") -> str:
    """Return a message of the first faults, a line each, under a head that counts them."""
    more = [f"  ... and {len(faults) - MAX_SHOWN} more"] if len(faults) > MAX_SHOWN else []
    return "\n".join(
        [head, *(f"  {one}" for one in faults[:MAX_SHOWN]), *more, *([cure] if cure else [])]
    )


def is_of_other_data(num_found: int, num_listed: int) -> bool:
    """Return whether so little of a list was found that it must be of other data."""
    return num_listed > 0 and num_found < LEAST_SHARE * num_listed


def two_of_each(
    listed: Iterable[str], there: Iterable[str], sides: tuple[str, str] = ("the list", "there")
) -> str:
    """Return words that show two names of each side."""
    parts = []
    for side, names in zip(sides, (listed, there), strict=True):
        two = " and ".join(shown(name, LONGEST_NAME) for name in islice(names, 2))
        parts.append(f"{side}: {two or 'nothing'}")
    return "; ".join(parts)


def missing_message(source: str | os.PathLike, root: Path, missing: Sequence[Path],
                    num_listed: int, faults: Sequence[str], cure: str) -> str:  # fmt: skip
    """Return what to say of files of a list that are missing or cannot be images.

    missing: their paths below root.  num_listed: files on the list.  faults: a line for each.
    """
    head = f"{source}: {len(missing)} of {num_listed} files are missing or no images:"
    if is_of_other_data(num_listed - len(missing), num_listed):
        sides = two_of_each((os.path.relpath(path, root) for path in missing), names_in(root))
        return all_faults(f"{head[:-1]}; is {root} the right folder? {sides}", faults[:2])
    return all_faults(head, faults, cure)


def refuse_other_data(source: str | os.PathLike, root: Path, paths: Sequence[Path]) -> None:
    """Raise ValueError with two names of each side if almost no file of a list is there."""
    missing = [path for path in paths if not os.path.isfile(path)]  # noqa: PTH113 - millions
    if is_of_other_data(len(paths) - len(missing), len(paths)):
        raise ValueError(missing_message(source, root, missing, len(paths), [], ""))


def names_in(root: Path) -> Iterable[str]:
    """Yield the first images below a folder, relative to it, as they come: for messages."""
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_left_behind(name))
        for name in sorted(files):
            path = Path(place, name)
            if not is_left_behind(name) and os.access(path, os.R_OK) and is_image(path):
                yield os.path.relpath(path, root)

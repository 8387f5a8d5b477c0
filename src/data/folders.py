"""Images in folders: at any depth, or in one folder for each identity.

What is no image of an identity is left out, named and counted in the log; with strict it is an
error.  What systems leave behind (image_files.py) is left out and counted either way.
"""

from __future__ import annotations

from collections.abc import Iterable
import logging
import os
from pathlib import Path

from .image_files import ENDINGS, is_image, is_left_behind

MOST_DEPTH = 1000  # of folders in folders
SHOWN = 5  # names of each kind in one message

OTHER = "files that are no images"
EMPTY = "folders without images"
NESTED = "images in folders within an identity's folder, which holds its images itself"
STRAY = "images that lie in no identity's folder"
TWICE = "links to folders that are there themselves"
BROKEN = "links that lead nowhere, or things that are no files"
CLOSED = "files that cannot be read"

# What this project's own commands write into folders of crops, or read from folders of data.
OWN_FILES = {
    "train.rec", "train.idx", "property",
    "train.lst", "train.names", "failures.tsv", "faces.tsv", "faces.tsv.running", "align.json",
    "lst",
    "attempts.tsv",
}  # fmt: skip

log = logging.getLogger(__name__)


class LeftOut:
    """What was left out of a folder: names by reason, and what systems left behind.

    besides: endings of files that belong there and are not told.
    """

    def __init__(self, folder: str | os.PathLike, besides: tuple[str, ...] = ()):
        self.folder = Path(folder)
        self.by_reason: dict[str, list[str]] = {}
        self.left_behind: list[str] = []
        self._besides = besides

    def note(self, reason: str, path: str | os.PathLike) -> None:
        self.by_reason.setdefault(reason, []).append(os.path.relpath(path, self.folder))

    def entries(self, folder: str | os.PathLike) -> tuple[list[Path], list[Path]]:
        """Return the folders and the images in a folder, sorted by name; note the rest."""
        folders, images = [], []
        with os.scandir(folder) as found:
            for entry in found:
                path = Path(folder, entry.name)
                if is_left_behind(entry.name) or entry.name in OWN_FILES:
                    self.left_behind.append(os.path.relpath(path, self.folder))
                elif entry.is_dir():
                    folders.append(path)
                elif not entry.is_file():
                    self.note(BROKEN, path)
                elif not entry.name.endswith(self._besides or "/"):
                    self._sort_file(path, images)
        return sorted(folders), sorted(images)

    def without_links_within(self, folders: list[Path], depth: int = MOST_DEPTH) -> list[Path]:
        """Return the folders without links to others that are found themselves, at most `depth`
        folders below; note these: one person would be two."""
        kept, root = [], os.path.realpath(self.folder)
        for path in folders:
            if path.is_symlink():
                inner = Path(os.path.relpath(os.path.realpath(path), root)).parts
                if len(inner) <= depth and not any(map(is_left_behind, inner)):  # .., too
                    self.note(TWICE, path)
                    continue
            kept.append(path)
        return kept

    def _sort_file(self, path: Path, images: list[Path]) -> None:
        try:
            if is_image(path):
                images.append(path)
            else:
                self.note(OTHER, path)
        except OSError:
            self.note(CLOSED, path)

    def walk(self, folder: Path) -> list[Path]:
        """Return the images at any depth below a folder, unsorted.  A link back to a folder
        that holds it is not followed."""
        images: list[Path] = []
        waiting = [(folder, frozenset({os.path.realpath(folder)}))]
        while waiting:
            place, above = waiting.pop()
            folders, here = self.entries(place)
            images += here
            if not folders and not here:
                self.note(EMPTY, place)
            for inner in self.without_links_within(folders):
                real = os.path.realpath(inner)
                if real in above:
                    self.note(BROKEN, inner)
                else:
                    waiting.append((inner, above | {real}))
        return images

    def lines(self) -> list[str]:
        """Return what was left out by no system, a line for each reason."""
        return [
            f"{self.folder}: left out {len(names)} {reason}: {_some(names)}"
            for reason, names in self.by_reason.items()
        ]

    def tell(self, strict: bool = False) -> None:
        """Log what was left out.  Raises ValueError instead if strict and there is any but what
        systems left behind."""
        if self.left_behind:
            log.info(
                "%s: left out %d that systems or programs left there: %s",
                self.folder, len(self.left_behind), _some(self.left_behind),
            )  # fmt: skip
        if strict and self.by_reason:
            raise ValueError("\n".join([*self.lines(), "--strict allows none of these"]))
        for line in self.lines():
            log.warning("%s", line)


def find_images(
    folder: str | os.PathLike, *, strict: bool = False, besides: tuple[str, ...] = ()
) -> list[Path]:
    """Return all images below a folder, sorted by path.

    besides: endings of other files that belong there.  Raises FileNotFoundError if the folder is
    absent, ValueError if it holds no image, or for strict anything else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder.absolute()}")
    left = LeftOut(folder, besides)
    paths = sorted(left.walk(folder))
    if not paths:
        raise ValueError("\n".join([f"{folder}: no image below it", *left.lines()]))
    left.tell(strict)
    return paths


def folder_images(
    folder: str | os.PathLike, identities: Iterable[str] | None = None, *, strict: bool = False
) -> list[tuple[str, Path]]:
    """Return (identity, path) of every image under folder/IDENTITY/, sorted by name.

    identities restricts them.  Raises FileNotFoundError for a missing folder or identity and
    ValueError if there are no images, or for strict anything else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; it must hold one folder per identity")
    left = LeftOut(folder)
    folders, stray = left.entries(folder)
    for path in stray:
        left.note(STRAY, path)
    present = [path.name for path in left.without_links_within(folders, depth=1)]
    if identities is not None:
        left = LeftOut(folder)  # of the chosen ones alone
    names = present if identities is None else list(dict.fromkeys(identities))
    missing = sorted(set(names) - set(present))
    if missing:
        raise FileNotFoundError(f"{folder}: no folder for identity {', '.join(missing[:10])}")
    images = [(name, path) for name in names for path in _of_identity(folder / name, left)]
    if not images:
        raise ValueError("\n".join([
            f"{folder}: no images in folder/IDENTITY/; known endings: {' '.join(ENDINGS)}, and "
            "files of other names that begin as images do", *left.lines(),
        ]))  # fmt: skip
    left.tell(strict)
    return images


def _of_identity(folder: Path, left: LeftOut) -> list[Path]:
    inner, images = left.entries(folder)
    if not images:
        left.note(EMPTY, folder)
    for place in inner:
        for path in sorted(left.walk(place)):
            left.note(NESTED, path)
    return images


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")

"""Names that come from a file as paths below a folder: none leads out of it."""

from __future__ import annotations

import functools
import os
from pathlib import Path
import re

from .limits import shown

NOT_UTF8 = re.compile("[\udc80-\udcff]")
CURE = "what a file names lies in one folder"


def inside(root: str | os.PathLike, name: str, place: str = "", *, cure: str = CURE) -> Path:
    """Return root/name.  name: as a file gave it, with whatever ending it gets.

    place: where it was given, the beginning of messages; cure: the end of one that says that the
    name leads out.  An absolute name is one below root.
    Raises ValueError for an empty name, for one with a zero byte, and for one that leads out of
    root, by ".." or by a symbolic link.
    """
    begin = f"{place}: " if place else ""
    if not name.strip("/") or "\0" in name:
        raise ValueError(f"{begin}{shown(name)} is no name of a file")
    # Not pathlib: lists name millions of files, and it takes ten times as long.
    path = os.path.normpath(os.path.join(root, name))  # noqa: PTH118
    if not _real(path).startswith(os.path.join(_real_folder(os.path.abspath(root)), "")):  # noqa: PTH100, PTH118
        raise ValueError(f"{begin}the path {shown(name)} leaves {root}; {cure}")
    return Path(path)


def is_plain(name: str) -> bool:
    """Return whether a name with its ending is relative, printable, of `/` alone, without "..".

    Bytes that are not UTF-8, as os.fsdecode() keeps them, may be in it.
    """
    if not name or name[0] == "/" or "\\" in name:
        return False
    if not name.isprintable() and not NOT_UTF8.sub("", name).isprintable():
        return False
    return ".." not in name or ".." not in name.split("/")


def _real(path: str) -> str:
    """Return a path without symbolic links; its folder is looked up once for all its files."""
    if os.path.islink(path):  # noqa: PTH114
        return os.path.realpath(path)
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    return os.path.join(_real_folder(folder), name)  # noqa: PTH118


@functools.lru_cache(1 << 14)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)

"""A folder that appears under its name only when all that belongs into it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import secrets
import shutil

from .files import FOLDER, remove_left_parts
from .locks import is_at, try_lock


@contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a folder beside `path`, which becomes it when the block ends well, else is removed.

    path: absent, or an empty folder, into which all is moved then (it may be somebody's working
    directory, or a mount).  Raises FileExistsError if it is neither.
    """
    path = Path(path)
    is_there = path.is_dir()
    if path.exists() and not (is_there and not any(path.iterdir())):
        raise FileExistsError(f"{path}: is there already; give a folder that is absent or empty")
    beside = path.resolve()
    remove_left_parts(beside.parent)
    part, descriptor = _locked_part(beside)
    try:
        yield part
        if is_there:
            for entry in sorted(part.iterdir()):
                shutil.move(entry, path / entry.name)
            part.rmdir()
        else:
            part.rename(beside)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def _locked_part(path: Path) -> tuple[Path, int]:
    """Return a new folder beside `path`, and its descriptor, which tells that its writer lives."""
    while True:
        part = path.with_name(f"{path.name}.{FOLDER}{secrets.token_hex(8)}")
        part.mkdir()
        try:
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try_lock(descriptor)
        if is_at(descriptor, part):
            return part, descriptor
        os.close(descriptor)  # taken for a left one before it had its lock

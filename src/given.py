"""What a command line gives, judged before any work begins: numbers, and files to write.

whole(), real() and file_name() are types of options for argparse, which names the option and ends
the command with code 2.  check_outputs() looks at the disk.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Mapping
import errno
import os
from pathlib import Path
from typing import Any

from .files import refuse_no_file
from .text import finite_number, whole_number

MOST = (1 << 63) - 1  # what seeds and counts of every library take
MOST_THREADS = 1024  # a pool starts them all, and systems give a few thousand
MOST_IMAGES = 1 << 16  # of a batch: 10 GB of 112x112, before the network has begun


def whole(least: int = 0, most: int = MOST) -> Callable[[str], int]:
    """Return the type of an option that takes whole numbers, least <= number <= most."""

    def parse(text: str) -> int:
        try:
            return whole_number(text.strip(), least, most)
        except ValueError:
            limits = f"from {least}" + (f" to {most}" if most < MOST else "")
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number {limits}") from None

    return parse


def real(least: float, most: float = float("inf")) -> Callable[[str], float]:
    """Return the type of an option that takes finite numbers, least <= number <= most."""

    def parse(text: str) -> float:
        try:
            number = finite_number(text.strip())
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            limits = f"from {least:g}" + (f" to {most:g}" if most < float("inf") else "")
            raise argparse.ArgumentTypeError(f"{text!r}: give a number {limits}")
        return number

    return parse


def file_name(*endings: str) -> Callable[[str], str]:
    """Return the type of an option that names a file or folder; endings: one of them it has.

    An empty name, as an unset variable of a shell leaves, would be this folder.
    """

    def parse(text: str) -> str:
        if not text:
            raise argparse.ArgumentTypeError("the name is empty")
        if endings and Path(text).suffix.lower() not in endings:
            raise argparse.ArgumentTypeError(f"{text!r}: give a name in {', '.join(endings)}")
        return text

    return parse


def path_name(text: str) -> Path:
    """Return what a positional argument or option names.  The type of one, as file_name()'s."""
    return Path(file_name()(text))


def refuse_changed(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    names: Collection[str],
    by: str,
) -> None:
    """Raise ValueError that names every option, of names, that was given and would do nothing.

    by: who does not use it.  An option given as its default is not told from one left out.
    """
    changed = [name for name in names if getattr(arguments, name) != parser.get_default(name)]
    if changed:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise ValueError(f"{flags}: {by} does not use it; leave it out")


def check_counts(arguments: argparse.Namespace, **most: int) -> None:
    """Raise ValueError for a count below 1 or above its most; most: by name of the option."""
    for name, limit in most.items():
        value, flag = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if value < 1:
            raise ValueError(f"{flag} {value}: must be at least 1")
        if value > limit:
            raise ValueError(f"{flag} {value}: must be at most {limit}")


def check_outputs(outputs: Mapping[str, Any], inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Raise an error for results that could not be written, or would destroy something.

    outputs: what gives the name (--report) -> the name, of a file or None where it was not given.
    inputs: what is read.  A folder, a device, a folder that cannot be made or written into, the
    name of two results, and that of an input are refused: OSError, ValueError.
    """
    read, taken = {os.path.realpath(path) for path in inputs if path}, {}
    for flag, name in outputs.items():
        if not name:
            continue
        refuse_no_file(name)
        _check_folder(Path(name).absolute())
        place = os.path.realpath(name)
        if place in read:
            raise ValueError(f"{flag} {name}: is what is read, and would be lost; give another")
        if place in taken:
            raise ValueError(f"{flag} {name}: is {taken[place]} too; give each its own name")
        taken[place] = flag


def _check_folder(path: Path) -> None:
    """Raise OSError unless path can lie where it would; absent folders are made then."""
    folder = next(parent for parent in path.parents if os.path.lexists(parent))
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(folder))

"""What a reader of foreign bytes is tried with, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import re
from typing import Any

LONGEST_MESSAGE = 6000  # letters: ten faults of a list, each with a path
MOST_LINES = 14


@dataclass(frozen=True)
class Reader:
    """A reader and its seed.

    files(): its files by name, made in code.  damaged: the one that is damaged.  read(folder): the
    value.  is_right(value): whether it is one that the reader promises.  covers: the modules and
    functions of the package that parse bytes in it, "module" or "module.function".  needs: modules
    without which it is left out.  cost: unless it is asked for by name, one case of so many is
    tried.
    """

    name: str
    files: Callable[[], dict[str, bytes]]
    damaged: str
    read: Callable[[Any], Any]
    is_right: Callable[[Any], bool]
    covers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    cost: int = 1


READERS: dict[str, Reader] = {}


def reader(
    name: str,
    files: Callable[[], dict[str, bytes]],
    damaged: str,
    read: Callable[[Any], Any],
    is_right: Callable[[Any], bool],
    *covers: str,
    needs: tuple[str, ...] = (),
    cost: int = 1,
) -> None:
    """Enter a reader."""
    assert name not in READERS, name
    READERS[name] = Reader(name, files, damaged, read, is_right, covers, needs, cost)


def one(name: str, content: bytes) -> Callable[[], dict[str, bytes]]:
    """Return files() of a single file."""
    return lambda: {name: content}


def fault_of_error(error: BaseException, names: list[str]) -> str:
    """Return why an error is none that a reader may end in, or "".

    names: one of them must be in the message: the file, or what the reader was told of it.
    """
    kind = type(error)
    is_ours = kind in (ValueError, FileNotFoundError) or (
        isinstance(error, ValueError) and kind.__module__.startswith("arcface_mxnet")
    )
    if not is_ours:
        return f"{kind.__name__}: {error}"
    message = str(error)
    if not any(name in message for name in names):
        return f"names no file: {message}"
    if len(message) > LONGEST_MESSAGE or message.count("\n") >= MOST_LINES:
        return f"{len(message)} letters in {1 + message.count(chr(10))} lines: {message[:200]}"
    if re.search(r"\[Errno|codec can't|Expecting value: line", message):
        return f"words of a library: {message}"
    return ""

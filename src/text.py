"""Text as people have it, read in one place: lists, tables, JSON, TOML.

Byte order marks, UTF-16 and UTF-32 as Windows writes them, the line ends of every system and
blanks at the ends of lines are understood.  Names of files need not be UTF-8: their bytes are
kept as os.fsdecode() keeps them, and WRITTEN writes them as they were.  Everything else that is
not text is refused with file, line and byte.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
import os
import re
from typing import Any

from .limits import open_file, parse_json, read_limited, read_open, shown

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

# Options of open() and replace_file() for text that may hold names of files.
WRITTEN = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
LARGEST_DOCUMENT = 1 << 30  # bytes; the JSON lists of MegaFace have 60 MB
LARGEST_TOML = 1 << 20
LONGEST_LINE = 1 << 20
BLANKS = " \t\r\n\v\f"
MARKS = (  # UTF-32 first: its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
MARK = "\ufeff"
SAVE_AS_UTF8 = "save it as UTF-8"
WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?")


def read_text(
    path: str | os.PathLike,
    what: str = "text file",
    *,
    names: bool = False,
    limit: int = LARGEST_DOCUMENT,
) -> str:
    """Return the text of a file, its lines ended by \\n alone.

    what: the file in messages.  names: it holds names of files, which need not be UTF-8.
    limit: bytes.  Raises FileNotFoundError, and ValueError for a file that is longer or is no text.
    """
    return decode_text(read_limited(path, limit, what), path, names=names)


def decode_text(data: bytes, source: str | os.PathLike, *, names: bool = False) -> str:
    """Return what read_text() does, of bytes.  source: where they come from, for messages."""
    encoding, begin = _encoding(data[:4])
    try:
        text = data[begin:].decode(encoding, _errors(names, encoding))
    except UnicodeDecodeError as error:
        at = begin + error.start
        line = 1 + data[begin:at].decode(encoding, "replace").count("\n")
        raise ValueError(_no_text(source, line, at, data[at : at + 1], encoding)) from None
    at = text.find("\0")
    if at >= 0:
        raise ValueError(_zero(source, 1 + text.count("\n", 0, at)))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(
    path: str | os.PathLike, what: str = "list", *, exact: bool = False
) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of the lines of a list, one at a time; names need not be UTF-8.

    Blanks at the ends of lines are cut off and lines without anything else left out; exact: the
    line ends alone are cut off and every line comes.
    Raises FileNotFoundError, and ValueError for what is no text.
    """
    for number, line in _lines(path, what):
        line = line if exact else line.rstrip(BLANKS)
        if line or exact:
            yield number, line


def read_json(
    path: str | os.PathLike, what: str, *, limit: int = LARGEST_DOCUMENT, nan: bool = False
) -> Any:
    """Return what a JSON file holds.  Raises FileNotFoundError, and ValueError as parse_json()."""
    return parse_json(read_text(path, what, limit=limit), str(path), f"a {what}", nan=nan)


def read_toml(path: str | os.PathLike, what: str) -> dict[str, Any]:
    """Return what a TOML file holds.  Raises FileNotFoundError or ValueError."""
    text = read_text(path, what, limit=LARGEST_TOML)
    try:
        return tomllib.loads(text)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:  # says line and column
        reason = " ".join(str(error).split())
    raise ValueError(f"{path}: not a {what}: no TOML that can be read: {reason}")


def whole_number(text: str, low: int, high: int) -> int:
    """Return the whole number that a text is.  Raises ValueError unless low <= it <= high.

    Unlike int() it takes ASCII digits alone: "1_0" and digits of other scripts are slips.
    """
    if not WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise ValueError(f"{shown(text)} is no whole number from {low} to {high}")
    return int(text)


def finite_number(text: str) -> float:
    """Return the decimal number that a text is.  Raises ValueError for others, nan and inf too."""
    if not DECIMAL.fullmatch(text) or abs(float(text)) == float("inf"):
        raise ValueError(f"{shown(text)} is no number")
    return float(text)


def _lines(path: str | os.PathLike, what: str) -> Iterator[tuple[int, str]]:
    with open_file(path, what) as file:
        encoding, at = _encoding(file.peek(4)[:4])
        if encoding != "utf-8":
            text = decode_text(read_open(file, LARGEST_DOCUMENT, f"{path}: a {what}"), path)
            yield from enumerate(text.removesuffix("\n").split("\n"), start=1)
            return
        file.read(at)
        number = 0
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                raise ValueError(
                    f"{path} line {number}: longer than {LONGEST_LINE} bytes: is it a {what}?"
                )
            if b"\0" in raw:
                raise ValueError(_zero(path, number))
            line = raw.decode("utf-8", "surrogateescape").removeprefix(MARK)  # of a joined file
            line = line.removesuffix("\n").removesuffix("\r")
            if "\r" not in line:
                yield number, line
                continue
            for place, part in enumerate(line.split("\r")):  # as old Macs end lines
                number += place > 0
                yield number, part


def _encoding(head: bytes) -> tuple[str, int]:
    """Return the encoding that a byte order mark tells, and the length of the mark."""
    found = ((encoding, len(mark)) for mark, encoding in MARKS if head.startswith(mark))
    return next(found, ("utf-8", 0))


def _errors(names: bool, encoding: str) -> str:
    return "surrogateescape" if names and encoding == "utf-8" else "strict"


def _no_text(source: str | os.PathLike, line: int, at: int, byte: bytes, encoding: str) -> str:
    return (
        f"{source} line {line}: byte {at} of the file, 0x{byte.hex()}, is not "
        f"{encoding.upper()} text; {SAVE_AS_UTF8}"
    )


def _zero(source: str | os.PathLike, line: int) -> str:
    return (
        f"{source} line {line}: holds a zero byte: not a text file, or UTF-16 without a byte "
        f"order mark; {SAVE_AS_UTF8}"
    )

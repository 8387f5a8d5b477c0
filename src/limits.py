"""What a file that others made may cost: its size, depth and counts are looked at before memory is.

A reader of foreign bytes takes them from here, states its own limit, and says with shown() what it
found, so that no message grows with the file.
"""

from __future__ import annotations

from collections.abc import Sized
import json
import os
from pathlib import Path
import stat
from typing import Any, BinaryIO

BLOCK = 1 << 20  # bytes read at a time from what has no size, such as a pipe
LONGEST_NUMBER = 256  # bits of an integer that is written out


def read_limited(path: str | os.PathLike, limit: int, what: str) -> bytes:
    """Return the bytes of a file that has at most `limit` of them.

    what: the file in messages, such as "symbol".  Raises FileNotFoundError with the full path if
    there is none, ValueError if it is larger.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = read_open(file, limit, f"{path}: a {what}")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise FileNotFoundError(f"no {what} {path.absolute()}") from None
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        raise FileNotFoundError(f"no {what} {shown(str(path))}: a name has no zero bytes") from None
    return data


def read_open(file: BinaryIO, limit: int, what: str) -> bytes:
    """Return what is left of an open file, at most `limit` bytes.

    what: begins the message of the ValueError that is raised if there is more.
    """
    facts = os.fstat(file.fileno())
    if stat.S_ISREG(facts.st_mode):
        check_count(facts.st_size, limit, what, "bytes")
        data = file.read(facts.st_size + 1)  # one more: it may grow meanwhile
    else:
        blocks, size = [], 0
        while size <= limit and (block := file.read(BLOCK)):
            blocks.append(block)
            size += len(block)
        data = b"".join(blocks)
    check_count(len(data), limit, what, "bytes")
    return data


def check_count(count: int, limit: int, what: str, units: str) -> None:
    """Raise ValueError that begins with `what` if there are more than `limit` of the units."""
    if count > limit:
        raise ValueError(
            f"{what} of {shown(count)} {units}; at most {limit} are taken: is it the right file?"
        )


def parse_json(data: bytes | str, source: str, what: str, *, nan: bool = False) -> Any:
    """Return the value of JSON in UTF-8.  source, what: begin messages: the file, and "a list".

    nan: take NaN and infinities, which are no JSON, as Python writes them.
    Raises ValueError for other text, for what is nested too deeply, and for an object that names
    something twice.
    """
    constant = float if nan else _no_number
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=_object, parse_constant=constant)
    except RecursionError:
        reason = "it is nested too deeply"
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8"
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except ValueError as error:
        reason = str(error)
    raise ValueError(f"{source}: not {what}: no JSON that can be read: {reason}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object names one of {shown(list(found)[0])}, .. twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def shown(value: object, most: int = 80) -> str:
    """Return a value for a message, of about `most` characters however large it is.

    Text, bytes and numbers are written out and cut; of anything else the type and length are
    told, for what it contains may be larger than what contains it.
    """
    if isinstance(value, str | bytes | bytearray):
        unit = "characters" if isinstance(value, str) else "bytes"
        more = f".. ({len(value)} {unit})" if len(value) > most else ""
        return f"{value[:most]!r}{more}"
    if isinstance(value, int) and value.bit_length() > LONGEST_NUMBER:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    length = f" of length {len(value)}" if isinstance(value, Sized) else ""
    return f"a {type(value).__name__}{length}"

"""What a file that others made may cost: its size, depth and counts are looked at before memory is.

A reader of foreign bytes takes them from here, states its own limit, and says with shown() what it
found, so that no message grows with the file.
"""

from __future__ import annotations

from collections.abc import Sized
import errno
import io
import json
import os
from pathlib import Path
import select
import stat
import time
from typing import Any, BinaryIO

BLOCK = 1 << 20  # bytes read at a time from what has no size, such as a pipe
MOST_OF_A_PIPE = 1 << 28  # bytes
PATIENCE = 5  # seconds for somebody to open the other end of a named pipe
LONGEST_NUMBER = 256  # bits of an integer that is written out


def read_limited(path: str | os.PathLike, limit: int, what: str) -> bytes:
    """Return the bytes of a file that has at most `limit` of them.

    what: the file in messages, such as "symbol".  Raises FileNotFoundError with the full path if
    there is none, ValueError if it is larger, or no file.
    """
    with open_file(path, what) as file:
        return read_open(file, limit, f"{path}: {_one(what)}")


def open_file(path: str | os.PathLike, what: str) -> BinaryIO:
    """Return a file, open to read; of a pipe what came out of it until its other end was closed.

    Raises FileNotFoundError with the full path if there is none; ValueError for a device, for a
    pipe that nobody writes into, and for one that gives more than MOST_OF_A_PIPE bytes.
    """
    path = Path(path)
    try:
        # Without waiting: opening a pipe that has no other end takes for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"no {what} {path.absolute()}") from None
    except ValueError:
        raise FileNotFoundError(f"no {what} {shown(str(path))}: a name has no zero bytes") from None
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise ValueError(f"{path}: is no {what}, but a socket or a device") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise FileNotFoundError(f"no {what} {path.absolute()}: that is a folder")
        if stat.S_ISFIFO(mode):
            return io.BufferedReader(io.BytesIO(_drained(descriptor, path, what)))
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path}: is no {what}, but a device")
        os.set_blocking(descriptor, True)
        return os.fdopen(os.dup(descriptor), "rb")
    finally:
        os.close(descriptor)


def _drained(descriptor: int, path: Path, what: str) -> bytes:
    """Return all that comes out of a pipe that does not block."""
    blocks, size, deadline = [], 0, time.monotonic() + PATIENCE
    while size <= MOST_OF_A_PIPE:
        try:
            block = os.read(descriptor, BLOCK)
        except BlockingIOError:  # its other end is open
            select.select([descriptor], [], [])
            continue
        if not block and not size and time.monotonic() < deadline:
            time.sleep(0.02)
        elif not block:
            break
        blocks.append(block)
        size += len(block)
    if not size:
        raise ValueError(f"{path}: a pipe into which nobody writes {_one(what)}")
    check_count(size, MOST_OF_A_PIPE, f"{path}: a pipe with {_one(what)}", "bytes or more")
    return b"".join(blocks)


def _one(what: str) -> str:
    return f"{'an' if what[0] in 'aeio' else 'a'} {what}"


def read_open(file: BinaryIO, limit: int, what: str) -> bytes:
    """Return what is left of an open file, at most `limit` bytes.

    what: begins the message of the ValueError that is raised if there is more.
    """
    begin = file.tell()
    size = file.seek(0, os.SEEK_END) - begin
    check_count(size, limit, what, "bytes")
    file.seek(begin)
    data = file.read(size + 1)  # one more: it may grow meanwhile
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

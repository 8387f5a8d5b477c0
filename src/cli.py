"""What every script shares: how it ends, and how it is told the size of the crops."""

from __future__ import annotations

import argparse
import codecs
from collections.abc import Callable
from contextlib import suppress
import logging
import os
import re
import sys

from .errors import is_foreseen, words_of

USAGE_ERROR = 2
UNFORESEEN = 3
INTERRUPTED = 130
ANY_NAME = "arcface_mxnet.name"


def run(work: Callable[[], int | None]) -> int:
    """Return the exit code of work(): its own, 2 for bad input, 3 for what nobody foresaw, 130 for
    Ctrl-C.

    What went wrong goes to stderr in words, without a traceback (errors.py).  Bad input is
    ValueError, OSError or a module that is not installed.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _print_any_name()
    try:
        code = work() or 0
        if sys.stdout:
            sys.stdout.flush()  # here a full disk can still be said in words
        return code
    except KeyboardInterrupt:
        _tell("interrupted")
        return INTERRUPTED
    except Exception as error:
        _tell(f"error: {words_of(error)}")
        _drop_output_that_cannot_be_written()
        is_bad_input = isinstance(error, (ValueError, OSError)) or is_foreseen(error)
        return USAGE_ERROR if is_bad_input else UNFORESEEN


def _print_any_name() -> None:
    """Let names of files be printed: on stdout the bytes of those that are not UTF-8, as they are,
    and escapes for what the terminal has no letters for."""
    codecs.register_error(ANY_NAME, _bytes_or_escapes)
    for stream, errors in ((sys.stdout, ANY_NAME), (sys.stderr, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def _bytes_or_escapes(error: UnicodeError) -> tuple[bytes, int]:
    letters = error.object[error.start : error.end]
    return b"".join(
        bytes([ord(letter) - 0xDC00]) if "\udc80" <= letter <= "\udcff"
        else letter.encode("ascii", "backslashreplace")
        for letter in letters
    ), error.end  # fmt: skip


def _tell(line: str) -> None:
    with suppress(OSError):  # to where stderr goes nothing more can be written
        print(line, file=sys.stderr, flush=True)


def _drop_output_that_cannot_be_written() -> None:
    """Keep the interpreter from trying again at its end, which would print a traceback."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def add_image_size_argument(
    parser: argparse.ArgumentParser, *, default: str | None = "112,112", otherwise: str = ""
) -> None:
    """Add --image-size, for parse_size.  otherwise: what holds where default is None."""
    parser.add_argument(
        "--image-size",
        "--image_size",  # as some published scripts spell it
        default=default,
        metavar="HEIGHT,WIDTH",
        help=f"of the crops in pixels (default: {default or otherwise})",
    )


def parse_size(text: str, *, channels: bool = False) -> tuple[int, int]:
    """Return (height, width) of "HEIGHT,WIDTH".  Raises ValueError for anything else.

    channels: take "3,HEIGHT,WIDTH" too, as some published scripts are given it.
    """
    found = re.fullmatch(f"{'(?:3,)?' * channels}([0-9]+),([0-9]+)", re.sub(r"\s", "", text))
    height, width = map(int, found.groups()) if found else (0, 0)
    if min(height, width) < 1:
        forms = "3,HEIGHT,WIDTH or " * channels + "HEIGHT,WIDTH"
        raise ValueError(f"--image-size {text!r}: give {forms} in pixels, such as 112,112")
    return height, width

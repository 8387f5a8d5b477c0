"""What every script shares: how it ends, and how it is told the size of the crops."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import logging
import re
import sys

USAGE_ERROR = 2
INTERRUPTED = 130


def run(work: Callable[[], int | None]) -> int:
    """Return the exit code of work(): its own, 2 for bad input, 130 for Ctrl-C.

    Bad input is ValueError or OSError; its message goes to stderr without a traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return work() or 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


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

"""How every script ends: a result, or one clear line on stderr and an exit code."""

from __future__ import annotations

from collections.abc import Callable
import logging
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

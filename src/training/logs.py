"""Where the messages of a process go: rank 0's to the terminal, those of the others to files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
from pathlib import Path

from .machines import Machines


@contextmanager
def logged_apart(machines: Machines, prefix: str) -> Iterator[None]:
    """Write what is logged in the block to PREFIX-rankN.log, behind what is there, if this is
    process N > 0 of those that torchrun started.

    Errors that end the process go to its stderr as ever.  Raises OSError if it cannot be written.
    """
    if machines.local_rank is None or not machines.rank:
        yield
        return
    root = logging.getLogger()
    before = root.handlers[:]
    Path(prefix).absolute().parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(f"{prefix}-rank{machines.rank}.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root.handlers[:] = [handler]
    root.setLevel(min(root.level, logging.INFO) or logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = before
        handler.close()

"""Ctrl-C while a command of ours still imports what it needs: a word, as cli.run() says it.

Imported before everything else, for the imports take a second or two.  In other programs, whose
own business their interruption is, nothing is changed.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

OURS = "arcface-"  # how setup.py's commands are called
HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120
FOLDERS = (HERE, os.path.join(os.path.dirname(HERE), "deploy"))  # noqa: PTH118, PTH120


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _is_ours(program: str) -> bool:
    """Return whether a command, `python -m`, as it says while it imports the module's package, or
    a script of a checkout is one of ours."""
    if program.endswith(".py"):
        return os.path.dirname(os.path.realpath(program)) in FOLDERS  # noqa: PTH120
    return program == "-m" or os.path.basename(program).startswith(OURS)  # noqa: PTH119


if sys.argv and _is_ours(sys.argv[0]):
    sys.excepthook = _tell

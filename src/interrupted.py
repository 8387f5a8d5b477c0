"""Ctrl-C while an installed command still imports what it needs: a word, as cli.run() says it.

Imported before everything else, for the imports take a second or two.  In other programs, whose
own business their interruption is, nothing is changed.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

OURS = "arcface-"  # how setup.py's commands are called


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if os.path.basename(sys.argv[0] if sys.argv else "").startswith(OURS):  # noqa: PTH119
    sys.excepthook = _tell

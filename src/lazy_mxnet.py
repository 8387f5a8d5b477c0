"""MXNet under its usual name `mx`, imported when something of it is first used.

What a loss is called, what it reads and reports, how a batch is drawn: all that is the same where
MXNet cannot be installed, and only what makes or runs a symbol of its own needs it there.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

MODULE = "mxnet"


class _Lazy:
    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(MODULE), name)
        setattr(self, name, value)  # the next time it is at hand
        return value


mx: Any = _Lazy()


def mxnet_errors() -> tuple[type[Exception], ...]:
    """Return what MXNet raises, for an except clause; nothing where it was never imported."""
    return (mx.MXNetError,) if MODULE in sys.modules else ()

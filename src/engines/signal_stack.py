"""The memory on which a thread's signal handlers run stays the thread's own.

OpenVINO's CPU plugin gives the calling thread an alternate stack for signals (sigaltstack) and
unmaps it when the last network goes.  Python's handlers run there, so SIGTERM or Ctrl-C, sent
after that, would end the process with a segmentation fault before anything is saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import ctypes
import sys

DISABLED = 2  # SS_DISABLE: handlers run on the thread's ordinary stack


class SignalStack(ctypes.Structure):
    """stack_t of Linux: address, flags, bytes."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signal_stack() -> SignalStack:
    """Return the alternate stack of the calling thread; flags DISABLED if there is none."""
    found = SignalStack(None, DISABLED, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give the calling thread back its alternate stack for signals after the block.

    A library that finds another stack than its own in place leaves it there (OpenVINO does).
    Where the kernel refuses the former one, too small for the registers now in use, there is none.
    """
    before = signal_stack()
    try:
        yield
    finally:
        if sys.platform == "linux":
            setter = ctypes.CDLL(None).sigaltstack
            if setter(ctypes.byref(before), None):
                setter(ctypes.byref(SignalStack(None, DISABLED, 0)), None)

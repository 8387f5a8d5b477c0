"""Ctrl-C and SIGTERM end a run after its current step instead of in the middle of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import signal
import threading
from types import FrameType


class StopRequest:
    """Whether the user, or the scheduler, asked the run to end."""

    def __init__(self) -> None:
        self.received: str | None = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Yield a StopRequest that the first SIGINT or SIGTERM sets; a second one interrupts.

    Outside the main thread signals cannot be taken, and the request stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, request._receive) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

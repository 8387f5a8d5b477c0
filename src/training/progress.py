"""The progress line: speed, the share of time spent waiting for data, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
import time

# Time is averaged over this many progress lines, so that the end does not jump about.
WINDOW = 20

# Beyond this no end is told: --end-epoch is 100000 unless given, which stands for "never".
YEAR = 365 * 24 * 3600  # seconds


class Progress:
    """Tell speed and end of a run.

    batch_size: images per step.  last_step: where the run ends, inf if it is never to end.
    clock: seconds, for tests.
    """

    def __init__(
        self, batch_size: int, last_step: float, clock: Callable[[], float] = time.monotonic
    ):
        self._batch_size, self._last_step, self._clock = batch_size, last_step, clock
        self._marks: list[tuple[int, float, float]] = []  # step, time, seconds waited

    def start(self, step: int, waited: float) -> None:
        """Begin to count at this step; waited: seconds spent waiting for data so far."""
        self._marks = [(step, self._clock(), waited)]

    def line(self, step: int, waited: float) -> str:
        """Return "412.3 samples/s, 3% waiting for data, 0:12:30 left" since the last line."""
        now = self._clock()
        last_step, last_time, last_waited = self._marks[-1]
        seconds = max(now - last_time, 1e-9)
        speed = (step - last_step) * self._batch_size / seconds
        share = (waited - last_waited) / seconds
        self._marks = [*self._marks[-WINDOW:], (step, now, waited)]
        return f"{speed:.1f} samples/s, {share:.0%} waiting for data, {self._left(step, now)}"

    def _left(self, step: int, now: float) -> str:
        first_step, first_time, _ = self._marks[0]
        per_step = (now - first_time) / max(step - first_step, 1)
        seconds = per_step * max(self._last_step - step, 0)
        return f"{timedelta(seconds=round(seconds))} left" if seconds < YEAR else "no end near"

"""Axes: where a value lies between two ends, and which values are written."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NICE = (1, 2, 2.5, 5, 10)


def power(value: float) -> str:
    """Return a rate in words: 10⁻³ for powers of ten, else a few digits."""
    if value > 0 and math.isclose(value, 10.0 ** round(math.log10(value)), rel_tol=1e-9):
        exponent = round(math.log10(value))
        return {0: "1", 1: "10"}.get(exponent) or "10" + str(exponent).translate(RAISED)
    return f"{value:g}"


@dataclass(frozen=True)
class Axis:
    """One axis.  low, high: its ends.

    form: "number"; "percent", of fractions, which the label says; or "count".
    """

    label: str
    low: float
    high: float
    is_log: bool = False
    form: str = "number"

    def place(self, values: np.ndarray | float) -> np.ndarray:
        """Return where values lie, 0 at low and 1 at high; what lies beyond is at the end."""
        low, high = self.low, self.high
        values = np.clip(np.asarray(values, np.float64), low, high)
        if self.is_log:
            low, high, values = math.log10(low), math.log10(high), np.log10(values)
        return (values - low) / (high - low)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return (value, words) of the values to write, `most` at most."""
        if not self.is_log:
            values = _even(self.low, self.high, most)
            step = values[1] - values[0] if len(values) > 1 else self.high - self.low
            return [(value, self._words(value, step)) for value in values]
        decades = self._decades()
        if len(decades) < 2:  # less than two decades: 1, 2 and 5 of each
            values = [
                digit * 10.0**exponent
                for exponent in range(math.floor(math.log10(self.low)), math.ceil(
                    math.log10(self.high)) + 1)
                for digit in (1, 2, 5)
            ]  # fmt: skip
            return [(value, f"{value:g}") for value in values if self._holds(value)]
        every = math.ceil(len(decades) / most)
        return [(10.0**one, self._power(10.0**one)) for one in decades[::-1][::every][::-1]]

    def _decades(self) -> list[int]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        return [one for one in range(first, last + 1) if self._holds(10.0**one)]

    def _holds(self, value: float) -> bool:
        return self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)

    def _power(self, value: float) -> str:
        return f"{round(value):,}" if self.form == "count" and value < 1e4 else power(value)

    def _words(self, value: float, step: float) -> str:
        if self.form == "percent":
            value, step = 100 * value, 100 * step
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if round(step * 10**decimals, 6) % 1:  # such as steps of 2.5
            decimals += 1
        return f"{value:.{decimals}f}".replace("-", "−")


def _even(low: float, high: float, most: int) -> list[float]:
    """Return round values from low to high, evenly spread."""
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * unit for nice in NICE if nice * unit >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * one for one in range(first, last + 1)]

"""Step functions as paths: every corner, and nothing between.

An empirical rate does not slope from one score to the next: it stays and jumps.  Places are
rounded to a tenth of a unit, so that a path has as many corners as can be seen, however many
scores there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .svg import number

TENTHS = 10

Points = list[tuple[int, int]]  # in tenths of a unit


def corners(x: np.ndarray, y: np.ndarray, end: float) -> Points:
    """Return the corners of the function that is y[i] from x[i] on, up to x = end.

    x: float (K,), ascending, in units.  Of values at one place the last counts.
    """
    x = np.rint(np.asarray(x) * TENTHS).astype(np.int64)
    y = np.rint(np.asarray(y) * TENTHS).astype(np.int64)
    last = np.append(x[1:] != x[:-1], True)
    x, y = x[last], y[last]
    changes = np.insert(y[1:] != y[:-1], 0, True)
    x, y = x[changes].tolist(), y[changes].tolist()
    points = [(x[0], y[0])]
    for at, value in zip(x[1:], y[1:], strict=True):
        points += [(at, points[-1][1]), (at, value)]
    ending = round(end * TENTHS)
    if ending > points[-1][0]:
        points.append((ending, points[-1][1]))
    return points


def outline(upper: Points, lower: Points) -> str:
    """Return the path of the area between two step functions."""
    return path(upper + lower[::-1]) + "z"


def path(points: Sequence[tuple[int, int]]) -> str:
    """Return the path through points, each beside or above the one before."""
    (x, y), *rest = points
    words = [f"M{_tenths(x)} {_tenths(y)}"]
    for next_x, next_y in rest:
        if next_x != x:
            words.append(f"h{_tenths(next_x - x)}")
        if next_y != y:
            words.append(f"v{_tenths(next_y - y)}")
        x, y = next_x, next_y
    return "".join(words)


def _tenths(value: int) -> str:
    return number(value / TENTHS)

"""Step functions as paths: exactly their corners, whatever the number of scores."""

import re

from arcface_mxnet.report.steps import corners, outline, path
import numpy as np
import pytest


def walked(words):
    """Return the points of a path of M, h, v and z."""
    assert re.fullmatch(r"M-?[\d.]+ -?[\d.]+([hv]-?[\d.]+)*z?", words)
    x, y = map(float, re.match(r"M(\S+) ([-\d.]+)", words).groups())
    points = [(x, y)]
    for kind, length in re.findall(r"([hv])(-?[\d.]+)", words):
        x, y = (x + float(length), y) if kind == "h" else (x, y + float(length))
        points.append((x, y))
    return points


def value_at(points, x):
    """Return the height of the last horizontal piece that begins at or before x."""
    levels = [(a, b[1]) for (a, _), b in zip(points, points[1:], strict=False) if a <= x < b[0]]
    return levels[-1][1]


def test_a_value_holds_until_the_next():
    assert corners(np.array([0, 2, 5]), np.array([1, 3, 2]), 9) == [
        (0, 10), (20, 10), (20, 30), (50, 30), (50, 20), (90, 20),
    ]  # fmt: skip
    assert path([(0, 10), (20, 10), (20, 30)]) == "M0 1h2v2"


def test_what_does_not_change_has_no_corner():
    assert corners(np.arange(100), np.full(100, 7), 100) == [(0, 70), (1000, 70)]
    assert corners(np.array([0, 1, 2, 3]), np.array([5, 5, 6, 6]), 3) == [
        (0, 50), (20, 50), (20, 60), (30, 60),
    ]  # fmt: skip


def test_of_values_at_one_place_the_last_counts():
    assert corners(np.array([0, 0, 4]), np.array([9, 1, 2]), 4) == [(0, 10), (40, 10), (40, 20)]


@pytest.mark.parametrize("count", [10, 100_000])
def test_the_path_is_the_function_to_a_twentieth_of_a_unit(count):
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.uniform(0, 300, count)), np.sort(rng.uniform(0, 200, count))
    words = path(corners(x, y, 300))
    points = walked(words)
    assert len(words) < 40_000
    for probe in rng.uniform(x[0] + 1, 299, 200):
        there = np.searchsorted(x, probe + np.array([-0.06, 0.06])) - 1
        low, high = y[there]
        assert low - 0.06 <= value_at(points, probe) <= high + 0.06


def test_the_area_between_two_functions_goes_there_and_back():
    upper = corners(np.array([0, 2]), np.array([1, 0]), 4)
    lower = corners(np.array([0, 3]), np.array([5, 6]), 4)
    words = outline(upper, lower)
    points = walked(words)
    assert words.endswith("z")
    assert points == [(0, 1), (2, 1), (2, 0), (4, 0), (4, 6), (3, 6), (3, 5), (0, 5)]

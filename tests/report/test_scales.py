"""Axes: places between their ends, round values, powers in words."""

from arcface_mxnet.report.scales import Axis, power
import numpy as np
import pytest


def test_places():
    assert Axis("", 2, 4).place(np.array([1, 2, 3, 4, 9])).tolist() == [0, 0, 0.5, 1, 1]
    logarithmic = Axis("", 1e-4, 1, is_log=True)
    assert logarithmic.place(np.array([0, 1e-4, 1e-2, 1])) == pytest.approx([0, 0, 0.5, 1])


def test_powers_in_words():
    assert [power(10.0**k) for k in (-6, -1, 0, 1, 3)] == ["10⁻⁶", "10⁻¹", "1", "10", "10³"]
    assert power(1e-3) == "10⁻³" and power(0.02) == "0.02" and power(0) == "0"


@pytest.mark.parametrize(
    "axis, words",
    [
        (Axis("", 0, 1, form="percent"), ["0", "20", "40", "60", "80", "100"]),
        (Axis("", 0.985, 1, form="percent"), ["98.5", "99.0", "99.5", "100.0"]),
        (Axis("", -0.3, 0.31), ["−0.2", "0.0", "0.2"]),
        (Axis("", 1 / 3000, 1, is_log=True), ["10⁻³", "10⁻²", "10⁻¹", "1"]),
        (Axis("", 1 / 60, 1, is_log=True), ["10⁻¹", "1"]),
        (Axis("", 0.2, 1, is_log=True), ["0.2", "0.5", "1"]),
        (Axis("", 1, 1001, is_log=True, form="count"), ["1", "10", "100", "1,000"]),
        (Axis("", 1, 1e6 + 1, is_log=True, form="count"), ["1", "100", "10⁴", "10⁶"]),
    ],
)
def test_values_to_write(axis, words):
    assert [word for _, word in axis.ticks(5)] == words
    assert all(axis.low <= value <= axis.high * (1 + 1e-9) for value, _ in axis.ticks(5))


def test_a_long_axis_writes_no_more_than_it_may():
    assert 3 <= len(Axis("", 1e-15, 1, is_log=True).ticks(6)) <= 6

"""Unit rows, distances and cosines by hand."""

from arcface_mxnet.embedding.vectors import cosines_of, squared_distances, unit_rows
import numpy as np
import pytest


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_have_length_one_in_their_own_type(dtype):
    units = unit_rows(np.array([[3, 4], [0, 0], [0, -2]], dtype))
    assert units.dtype == dtype
    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 0], [0, -1]], rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e25])
def test_values_whose_squares_are_no_float32_have_a_direction(scale):
    rows = np.array([[3 * scale, 4 * scale], [3, 4], [0, 0]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        units = unit_rows(rows)
    assert units.dtype == np.float32
    np.testing.assert_allclose(units, [[0.6, 0.8], [0.6, 0.8], [0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(units[1], unit_rows(rows[1:2])[0])  # whatever stands beside it


def test_another_type_is_computed_in():
    row = np.array([[1, 1e-4]], np.float32)
    units = unit_rows(row, np.float64)
    assert units.dtype == np.float64 and row.dtype == np.float32
    np.testing.assert_allclose((units**2).sum(), 1, rtol=1e-15)


def test_a_value_that_is_not_finite_stays_visible():
    with np.errstate(invalid="ignore"):
        assert np.isnan(unit_rows(np.array([[np.nan, 1], [np.inf, 1]]))).any(axis=1).all()


def test_distances_are_of_the_rows_as_they_are():
    left, right = np.array([[0, 0], [3, 0]], np.float32), np.array([[3, 4], [3, 1]], np.float32)
    distances = squared_distances(left, right)
    assert distances.dtype == np.float64 and distances.tolist() == [25, 1]
    assert squared_distances(left[:1], right).tolist() == [25, 10]
    assert squared_distances(right, left[:1]).tolist() == [25, 10]


def test_cosines_belong_to_distances():
    assert cosines_of([0, 2, 4]).tolist() == [1, 0, -1]

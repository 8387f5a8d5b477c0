"""The compiled inner loops against numpy's, bit for bit, and what happens without a compiler."""

from arcface_mxnet import compiler
from arcface_mxnet.embedding.vectors import squared_distances
from arcface_mxnet.megaface import inner_loops
import numpy as np
import pytest


def compiled():
    return compiler.load_cached(inner_loops.RECIPE, inner_loops.Compiled)


@pytest.fixture(params=[inner_loops.Plain, compiled])
def kernel(request):
    """Return each way in turn."""
    try:
        return request.param()
    except compiler.BuildError as error:
        pytest.skip(str(error))


def problem(rng, columns):
    """Return (scores, start, lower, upper, floor) with many scores on the thresholds themselves."""
    lines = int(rng.integers(1, 5))
    scores = rng.integers(-20, 21, (lines, columns)).astype(np.float32)
    start = np.concatenate([[0], np.cumsum(rng.integers(0, 6, lines))])
    line = np.repeat(np.arange(lines), np.diff(start))
    lower = rng.integers(-22, 23, start[-1]).astype(np.float32)
    lower = lower[np.lexsort((-lower, line))]
    upper = lower + rng.choice([1, 5, np.inf], start[-1]).astype(np.float32)
    floor = rng.choice([-30, -5, 18, 19, 20, 21, np.inf], lines).astype(np.float32)
    return scores, start, lower, upper, floor


def test_compare_is_what_it_says(kernel):
    rng = np.random.default_rng(0)
    for columns in (*range(1, 20), 127, 128, 129, 255, 256, 257, 1000) * 3:
        scores, start, lower, upper, floor = problem(rng, columns)
        surely, threshold, column = kernel.compare(scores, start, lower, upper, floor)
        assert surely.dtype == threshold.dtype == column.dtype == np.int64
        found = sorted(zip(threshold, column, strict=True))
        line = np.repeat(np.arange(len(scores)), np.diff(start))
        assert surely.tolist() == [(scores[i] >= upper[k]).sum() for k, i in enumerate(line)]
        assert found == [(k, j) for k, i in enumerate(line) for j in range(columns)
                         if lower[k] <= scores[i, j] < upper[k]] + [
                             (len(lower) + i, j) for i in range(len(scores))
                             for j in range(columns) if scores[i, j] >= floor[i]]  # fmt: skip


def test_compare_finds_more_than_it_has_room_for(kernel):
    scores = np.zeros((3, 5000), np.float32)
    start, lower = np.array([0, 1, 1, 2]), np.array([0.0, -1.0], np.float32)
    floor = np.array([1, 0, 1], np.float32)
    surely, threshold, column = kernel.compare(scores, start, lower, lower + 1.5, floor)
    assert surely.tolist() == [0, 0]
    assert len(column) == 15000
    assert np.bincount(threshold).tolist() == [5000, 5000, 0, 5000]
    assert np.bincount(column).tolist() == [3] * 5000


def test_compare_with_steps_is_what_it_says(kernel):
    rng = np.random.default_rng(0)
    for columns in (1, 2, 63, 64, 65, 127, 1000, 1023, 1024, 1025, 2100):
        lines, steps = 3, int(rng.choice([1, 2, 17, 255]))
        scores = rng.integers(-40, 8 * steps + 40, (lines, columns)).astype(np.float32) / 8
        scores[0, 0], scores[-1, -1] = -3e38, 3e38
        down = np.float32([0.5, 0.25, -0.125])
        up = down + np.float32([0, 0.25, 1.5])  # none, some, and more than a step are open
        surely, line, step, column = kernel.compare_with_steps(scores, down, up, steps)
        assert surely.dtype == line.dtype == step.dtype == column.dtype == np.int64
        reaches = scores[:, :, None] + down[:, None, None] >= np.arange(1, steps + 1)
        may = scores[:, :, None] + up[:, None, None] >= np.arange(1, steps + 1)
        assert surely.tolist() == reaches.sum(axis=(0, 1)).tolist()
        found = sorted(zip(line, column, step, strict=True))
        assert found == [tuple(place) for place in np.argwhere(may & ~reaches)]


def test_compare_with_steps_finds_more_than_it_has_room_for(kernel):
    down, up = np.zeros(2, np.float32), np.full(2, 3, np.float32)
    surely, line, step, column = kernel.compare_with_steps(
        np.zeros((2, 5000), np.float32), down, up, 17
    )
    assert surely.tolist() == [0] * 17
    assert np.bincount(step).tolist() == [10000] * 3
    assert np.bincount(line).tolist() == [15000] * 2
    assert np.bincount(column).tolist() == [6] * 5000


def test_places_are_those_of_searchsorted(kernel):
    rng = np.random.default_rng(2)
    for size, count in ((1, 1), (3, 40), (40, 3), (5000, 7), (5000, 4000), (17, 0)):
        limits = np.sort(rng.integers(0, 2 * size, size)).astype(np.float64)  # some are equal
        values = np.sort(rng.integers(-2, 2 * size + 2, count)).astype(np.float64)
        place = kernel.places(limits, values)
        assert place.dtype == np.int64
        assert place.tolist() == [sum(limits < value) for value in values]
        assert kernel.places(limits, values[-1:]).tolist() == place[-1:].tolist()


def test_distances_have_the_same_bits_in_every_dimension(kernel):
    rng = np.random.default_rng(1)
    for dim in (*range(1, 300), 511, 512, 513, 1024, 1536, 4096):
        left, right = (rng.standard_normal((9, dim)).astype(np.float32) for _ in range(2))
        rows = rng.integers(0, 9, (2, 70))
        distance = kernel.distances(left, rows[0], right, rows[1])
        assert np.array_equal(distance, squared_distances(left[rows[0]], right[rows[1]])), dim
        none = rows[0, :0]
        assert kernel.distances(left, none, right, none).shape == (0,)


def test_without_a_compiler_numpy_is_taken_and_it_is_said(monkeypatch, tmp_path, caplog):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(inner_loops.fastest.__wrapped__(), inner_loops.Plain)
    (record,) = caplog.records
    message = "MegaFace search: in numpy, slower than compiled, because: no C++ compiler found"
    assert record.getMessage().startswith(message)


def test_it_is_decided_once():
    assert inner_loops.fastest() is inner_loops.fastest()


def test_sums_in_another_order_are_not_trusted(monkeypatch):
    class Other(inner_loops.Plain):
        """Adds from the other end."""

        def distances(self, left, left_rows, right, right_rows):
            turned = (np.ascontiguousarray(array[:, ::-1]) for array in (left, right))
            left, right = turned
            return super().distances(left, left_rows, right, right_rows)

    inner_loops._check(inner_loops.Plain())
    with pytest.raises(compiler.BuildError, match="adds .* numbers in another order"):
        inner_loops._check(Other())

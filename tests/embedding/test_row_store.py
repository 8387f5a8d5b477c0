"""Stores of rows: plain .npy files, resumed after a kill, refused when they do not fit."""

from arcface_mxnet.embedding.npy import open_npy
from arcface_mxnet.embedding.row_store import RowWriter, has_rows, partial_path
import numpy as np
import pytest

ROWS = np.arange(24, dtype=np.float32).reshape(4, 2, 3)


def test_a_store_has_the_bytes_that_numpy_writes(tmp_path):
    np.save(tmp_path / "numpy.npy", ROWS)
    with RowWriter(tmp_path / "ours.npy", ROWS.shape, np.float32) as writer:
        writer.write(ROWS[:1])
        writer.write(ROWS[1:])
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    assert np.array_equal(open_npy(tmp_path / "ours.npy", ndim=3, dtypes=["float32"]), ROWS)
    assert not partial_path(tmp_path / "ours.npy").exists()


@pytest.mark.parametrize("left", [0, 5, 127, 128, 128 + 23, 128 + 24, 128 + 2 * 24 + 1])
def test_a_killed_writer_goes_on_where_it_stopped(tmp_path, left):
    path = tmp_path / "s.npy"
    np.save(path, ROWS)
    whole = path.read_bytes()
    assert len(whole) == 128 + 4 * 24
    path.unlink()
    partial_path(path).write_bytes(whole[:left])
    with RowWriter(path, ROWS.shape, np.float32) as writer:
        assert writer.done == max(left - 128, 0) // 24
        writer.sync()
        assert not path.exists()
        writer.write(ROWS[writer.done :])
    assert path.read_bytes() == whole


def test_what_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "s.npy"
    with RowWriter(path, ROWS.shape, np.float32) as writer:
        with pytest.raises(ValueError, match="rows of 2 x 3 values, got"):
            writer.write(ROWS[:, :1])
        with pytest.raises(ValueError, match="more rows than the 4"):
            writer.write(np.concatenate([ROWS, ROWS]))
        writer.write(ROWS[:2])
    assert not path.exists()
    before = partial_path(path).read_bytes()
    with pytest.raises(ValueError, match="left by another job"):
        RowWriter(path, ROWS.shape, np.float16)
    assert partial_path(path).read_bytes() == before
    np.save(path, ROWS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="not a store, or truncated"):
        open_npy(path, ndim=3, dtypes=["float32"])


def test_one_writer_at_a_time(tmp_path):
    path = tmp_path / "s.npy"
    with RowWriter(path, ROWS.shape, np.float32) as writer:
        writer.write(ROWS[:2])
        for anew in (False, True):
            with pytest.raises(ValueError, match="another process is writing it"):
                RowWriter(path, ROWS.shape, np.float32, anew=anew)
        writer.write(ROWS[2:])
    assert np.array_equal(np.load(path), ROWS)


def test_a_store_anew_throws_the_partial_one_away(tmp_path):
    path = tmp_path / "s.npy"
    with RowWriter(path, ROWS.shape, np.float32) as writer:
        writer.write(ROWS[:2])
    assert has_rows(path)
    with RowWriter(path, (2, 3), np.float16, anew=True) as writer:
        assert writer.done == 0 and not has_rows(path)
    with pytest.raises(FileNotFoundError, match=r"interrupted \(s.npy.partial is there\), run"):
        open_npy(path, ndim=3, dtypes=["float32"])

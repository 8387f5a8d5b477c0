"""Feature files: golden bytes, round trip, everything a reader must refuse."""

import struct

from arcface_mxnet.megaface.features import (
    feature_dim,
    read_feature,
    read_features,
    write_feature,
)
import numpy as np
import pytest

GOLDEN = bytes.fromhex("03000000 01000000 04000000 05000000 0000803f 000000c0 0000003f")


def dump(path, header, values, kind="<f4"):
    path.write_bytes(struct.pack("<4i", *header) + np.array(values, kind).tobytes())
    return path


def test_golden_bytes_both_ways(tmp_path):
    path = tmp_path / "a" / "b.jpg_r100.bin"
    write_feature(path, np.array([1, -2, 0.5], np.float32))
    assert path.read_bytes() == GOLDEN
    vector = read_feature(path)
    assert vector.dtype == np.float32 and vector.tolist() == [1, -2, 0.5]
    assert list(path.parent.iterdir()) == [path]


def test_512_values_make_2064_bytes_and_513_make_2068(tmp_path):
    for dim, size in ((512, 2064), (513, 2068)):
        path = tmp_path / str(dim)
        write_feature(path, np.ones(dim, np.float32))
        assert path.stat().st_size == size
        assert feature_dim(path) == dim


def test_every_bit_survives(tmp_path):
    vector = np.random.default_rng(0).integers(0, 1 << 31, 512, np.int64)
    vector = vector.astype(np.uint32).view(np.float32)
    vector = np.where(np.isfinite(vector), vector, np.float32(1))
    write_feature(tmp_path / "x", vector)
    assert read_feature(tmp_path / "x").tobytes() == vector.tobytes()


def bad_files(folder):
    """Return (path, message) of every kind of bad file of dimension 3."""
    ones = np.ones(3)
    big = folder / "big"
    big.write_bytes(struct.pack(">4i", 3, 1, 4, 5) + ones.astype(">f4").tobytes())
    empty = folder / "empty"
    empty.write_bytes(b"")
    short = folder / "short"
    short.write_bytes(GOLDEN[:-1])
    long = folder / "long"
    long.write_bytes(GOLDEN + b"\0")
    return [
        (dump(folder / "other", (4, 1, 4, 5), np.ones(4)), "4 values, the others have 3"),
        (dump(folder / "double", (3, 1, 8, 6), ones, "<f8"), "type 6 .float64"),
        (dump(folder / "quirk", (3, 1, 4, 6), ones, "<f8"), "type 6 .float64"),
        (dump(folder / "row", (1, 3, 12, 5), ones), r"header .1, 3, 12, 5., wanted"),
        (dump(folder / "negative", (-3, 1, 4, 5), ones), "header .-3"),
        (dump(folder / "nan", (3, 1, 4, 5), [1, np.nan, 0]), "NaN or infinity"),
        (dump(folder / "inf", (3, 1, 4, 5), [1, np.inf, 0]), "NaN or infinity"),
        (dump(folder / "zero", (3, 1, 4, 5), [0, 0, 0]), "all zeros"),
        (big, "big-endian"),
        (empty, "truncated: 0 bytes"),
        (short, "truncated: 27 bytes, 3 values need 28"),
        (long, "too long: 29 bytes"),
    ]


def test_bad_files_are_refused_one_by_one(tmp_path):
    for path, message in bad_files(tmp_path):
        with pytest.raises(ValueError, match=message) as error:
            read_feature(path, 3)
        assert str(path) in str(error.value)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_feature(tmp_path / "nowhere")


def test_bad_files_are_listed_all_at_once_and_the_good_ones_read(tmp_path):
    bad = bad_files(tmp_path)
    good = tmp_path / "good"
    good.write_bytes(GOLDEN)
    (tmp_path / "folder").mkdir()
    bad.append((tmp_path / "folder", "cannot be read: Is a directory"))
    paths = [str(good), *(str(path) for path, _ in bad), str(tmp_path / "nowhere"), str(good)]
    vectors, faults = read_features(paths, 3)
    assert vectors[[0, -1]].tolist() == [[1, -2, 0.5]] * 2
    assert sorted(faults) == list(range(1, len(bad) + 2))
    assert not vectors[1:-1].any()
    assert "cannot be read: No such file" in faults[len(bad) + 1]


def test_what_is_no_feature_is_not_written(tmp_path):
    for vector, message in [
        (np.ones(3), "float64"),
        (np.ones((1, 3), np.float32), r"\(1, 3\)"),
        (np.zeros(3, np.float32), "all zeros"),
        (np.array([np.nan], np.float32), "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            write_feature(tmp_path / "x", vector)
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_feature(path, np.ones(3, np.float32))
    before = path.read_bytes()

    def full_disk(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_feature(path, np.full(3, 2, np.float32))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]

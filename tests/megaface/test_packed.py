"""Packed stores: exact both ways, resumed after a kill, refused when they do not fit."""

import os

from arcface_mxnet.megaface import convert
from arcface_mxnet.megaface.features import read_feature, write_feature
from arcface_mxnet.megaface.packed import FeatureStore, StoreWriter
import numpy as np
import pytest

NAMES = ["a/1.png", "a/2.png", "b/1.png", "b/2.png", "b/3.png"]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)


@pytest.fixture
def store(tmp_path, vectors):
    path = tmp_path / "s.npy"
    with StoreWriter(path, NAMES, 7, ending="_r.bin") as writer:
        writer.write(vectors)
    return path


def test_a_store_is_a_plain_numpy_file(store, vectors):
    assert np.array_equal(np.load(store, mmap_mode="r"), vectors)
    opened = FeatureStore(store)
    assert (opened.names, opened.ending, opened.dim, len(opened)) == (NAMES, "_r.bin", 7, 5)
    rows = opened.find(["b/2.png", "x", "a/1.png"])
    assert rows.tolist() == [3, -1, 0]
    assert np.array_equal(opened.read(np.array([3, 0])), vectors[[3, 0]])
    assert np.array_equal(opened.read(np.array([1, 2])), vectors[1:3])
    assert np.array_equal(opened.read(np.array([0, 2, 1, 3])), vectors[[0, 2, 1, 3]])


def test_names_that_are_not_utf8(tmp_path, vectors):
    names = [*NAMES[:4], os.fsdecode(b"b/Zo\xeb.png")]
    with StoreWriter(tmp_path / "s.npy", names, 7, ending="_r.bin") as writer:
        writer.write(vectors)
    assert FeatureStore(tmp_path / "s.npy").names == names
    assert b"\nb/Zo\xeb.png\n" in (tmp_path / "s.names").read_bytes()


def test_import_and_export_are_exact_in_both_directions(tmp_path, vectors):
    for name, vector in zip(NAMES, vectors, strict=True):
        write_feature(tmp_path / "files" / f"{name}_r.bin", vector)
    options = ["import", str(tmp_path / "files"), "_r.bin"]
    assert convert.main([*options, str(tmp_path / "a.npy")]) == 0
    assert convert.main([*options, str(tmp_path / "h.npy"), "--dtype", "float16"]) == 0
    assert convert.main(["export", str(tmp_path / "a.npy"), str(tmp_path / "again")]) == 0
    for name in NAMES:
        one, other = (tmp_path / root / f"{name}_r.bin" for root in ("files", "again"))
        assert one.read_bytes() == other.read_bytes()
    # A float16 store rounds once; from then on nothing changes.
    assert convert.main(["export", str(tmp_path / "h.npy"), str(tmp_path / "half")]) == 0
    options[1] = str(tmp_path / "half")
    assert convert.main([*options, str(tmp_path / "h2.npy"), "--dtype", "float16"]) == 0
    assert (tmp_path / "h.npy").read_bytes() == (tmp_path / "h2.npy").read_bytes()
    assert np.array_equal(np.load(tmp_path / "h.npy"), vectors.astype(np.float16))


def test_a_killed_writer_goes_on_where_it_stopped(tmp_path, vectors):
    path = tmp_path / "s.npy"
    with StoreWriter(path, NAMES, 7) as writer:
        writer.write(vectors[:2])
    assert not path.exists()
    part = tmp_path / "s.npy.partial"
    part.write_bytes(part.read_bytes() + b"half a row")
    with StoreWriter(path, NAMES, 7) as writer:
        assert writer.done == 2
        writer.write(vectors[2:])
    assert np.array_equal(np.load(path), vectors)
    assert not part.exists()


def test_a_partial_store_of_another_job_is_not_continued(tmp_path, vectors):
    path = tmp_path / "s.npy"
    with StoreWriter(path, NAMES, 7) as writer:
        writer.write(vectors[:2])
    with pytest.raises(ValueError, match="left by another job"):
        StoreWriter(path, NAMES[::-1], 7)
    with pytest.raises(ValueError, match="left by another job"):
        StoreWriter(path, NAMES, 7, "float16")


def test_an_export_replaces_features_of_another_store(tmp_path, store, vectors):
    for name in NAMES[1:]:
        write_feature(tmp_path / "out" / f"{name}_r.bin", np.ones(7, np.float32))
    kept = tmp_path / "out" / f"{NAMES[0]}_r.bin"
    write_feature(kept, vectors[0])
    before = kept.stat().st_ino
    assert convert.main(["export", str(store), str(tmp_path / "out")]) == 0
    for name, vector in zip(NAMES, vectors, strict=True):
        assert read_feature(tmp_path / "out" / f"{name}_r.bin").tolist() == vector.tolist()
    assert kept.stat().st_ino == before  # not written again


def test_merge_joins_shards(tmp_path, vectors):
    parts = []
    for number, rows in enumerate((slice(0, 2), slice(2, 5))):
        parts.append(tmp_path / f"s.{number + 1}-of-2.npy")
        with StoreWriter(parts[-1], NAMES[rows], 7, ending="_r.bin") as writer:
            writer.write(vectors[rows])
    whole = tmp_path / "s.npy"
    assert convert.main(["merge", str(whole), *map(str, parts)]) == 0
    assert np.array_equal(np.load(whole), vectors)
    assert FeatureStore(whole).names == NAMES
    assert convert.main(["merge", str(tmp_path / "t.npy"), str(parts[0]), str(parts[0])]) == 2


def test_a_killed_import_or_merge_goes_on_where_it_stopped(tmp_path, vectors, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.megaface.packed.BATCH", 2)
    for name, vector in zip(NAMES, vectors, strict=True):
        write_feature(tmp_path / "files" / f"{name}_r.bin", vector)
    for place, rows in (("p.npy", slice(0, 1)), ("q.npy", slice(1, 5))):
        with StoreWriter(tmp_path / place, NAMES[rows], 7, ending="_r.bin") as writer:
            writer.write(vectors[rows])
    jobs = {
        "i.npy": ["import", str(tmp_path / "files"), "_r.bin", str(tmp_path / "i.npy")],
        "m.npy": ["merge", *(str(tmp_path / name) for name in ("m.npy", "p.npy", "q.npy"))],
    }
    for name, job in jobs.items():
        for done in (1, 2, 3):
            with StoreWriter(tmp_path / name, NAMES, 7, ending="_r.bin") as writer:
                writer.write(vectors[:done])  # all that the first start came to
            assert convert.main(job) == 0
            assert np.array_equal(np.load(tmp_path / name), vectors)
            (tmp_path / name).unlink()


def test_what_is_no_feature_is_not_stored(tmp_path, vectors):
    writer = StoreWriter(tmp_path / "s.npy", NAMES, 7, "float16")
    for bad, message in [
        (np.zeros((1, 7), np.float32), "row 0 as float16: all zeros"),
        (np.full((1, 7), 1e-9, np.float32), "all zeros"),
        (np.full((1, 7), 1e9, np.float32), "NaN or infinity"),
        (np.full((1, 7), np.nan, np.float32), "NaN or infinity"),
        (np.ones((1, 8), np.float32), "rows of 7 values"),
        (np.ones((6, 7), np.float32), "more rows than the 5"),
    ]:
        with pytest.raises(ValueError, match=message):
            writer.write(bad)
    assert writer.done == 0
    writer.close()
    with pytest.raises(ValueError, match="a store is one of float32, float16"):
        StoreWriter(tmp_path / "t.npy", NAMES, 7, "int8")
    with pytest.raises(ValueError, match="1 duplicates"):
        StoreWriter(tmp_path / "t.npy", ["a", "a"], 7)
    with pytest.raises(ValueError, match="ends in .npy"):
        StoreWriter(tmp_path / "t.bin", NAMES, 7)


def test_stores_that_do_not_fit_are_refused(tmp_path, store, vectors):
    with pytest.raises(FileNotFoundError, match="no complete store"):
        FeatureStore(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="a complete store is there"):
        StoreWriter(store, NAMES, 7)
    index = store.with_suffix(".names")
    text = index.read_text()
    index.write_text(text.replace("b/3.png\n", ""))
    with pytest.raises(ValueError, match="truncated, or of another format"):
        FeatureStore(store)
    index.write_text(text.replace("b/3.png", "../3.png"))
    with pytest.raises(ValueError, match="leave their root"):
        FeatureStore(store)
    for ending in ("/../../x", "/x", "..\\\\x", "a\\u0000b"):
        index.write_text(text.replace("_r.bin", ending))
        with pytest.raises(ValueError, match="is no ending of a name"):
            FeatureStore(store)
    with pytest.raises(ValueError, match="is no ending of a name"):
        StoreWriter(tmp_path / "t.npy", NAMES, 7, ending="/../x")
    for head in ("[" * 100_000, '{"format": 1, "format": 1}', '{"format": NaN}', "1"):
        index.write_text(f"{head}\n")
        with pytest.raises(ValueError, match="s.names.* not the .*index of a store") as caught:
            FeatureStore(store)
        assert len(str(caught.value)) < 500
    for old, new in (('"count": 5', '"count": 5.0'), ('"dim": 7', '"dim": "7"'),
                     ('"_r.bin"', "null"), ('"dim": 7', '"dim": true')):  # fmt: skip
        index.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match="not the index of a store"):
            FeatureStore(store)
    index.write_text("{}\n")
    with pytest.raises(ValueError, match="not the index of a store"):
        FeatureStore(store)
    index.write_text(text)
    np.save(store, vectors[:4])
    with pytest.raises(ValueError, match=r"holds \(4, 7, 'float32'\), its index says \(5, 7"):
        FeatureStore(store)
    np.save(store, np.array([{"a": print}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a store"):
        FeatureStore(store)
    store.write_bytes(store.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a store, or truncated"):
        FeatureStore(store)


def test_import_names_a_bad_file(tmp_path, vectors, capsys):
    for name, vector in zip(NAMES, vectors, strict=True):
        write_feature(tmp_path / "files" / f"{name}_r.bin", vector)
    bad = tmp_path / "files" / "b" / "2.png_r.bin"
    bad.write_bytes(bad.read_bytes()[:-4])
    assert convert.main(["import", str(tmp_path / "files"), "_r.bin", str(tmp_path / "s.npy")]) == 2
    assert "b/2.png_r.bin: truncated" in capsys.readouterr().err
    assert not (tmp_path / "s.npy").exists()
    write_feature(bad, vectors[3])
    assert convert.main(["import", str(tmp_path / "files"), "_r.bin", str(tmp_path / "s.npy")]) == 0
    assert read_feature(bad).tolist() == np.load(tmp_path / "s.npy")[3].tolist()

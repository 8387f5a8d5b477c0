"""A classifier in files of ranges: any of its rows, whole sets alone, and damage refused."""

import json

from arcface_mxnet.checkpoints.last_state import LastState, read_last, save_last
from arcface_mxnet.checkpoints.params import write_params
from arcface_mxnet.checkpoints.shards import (
    Ranges,
    StoredClassifier,
    classifier_of,
    drop_shards,
    keep_shards,
    list_path,
    remove_others,
    shard_path,
    states_path,
    stored_classifier,
    with_classifier,
    write_shard,
)
from arcface_mxnet.checkpoints.stored_rows import StoredRows
import numpy as np
import pytest

IDENTITIES, WIDTH = 7, 3
WHOLE = {
    "fc7_weight": np.arange(IDENTITIES * 2 * WIDTH, dtype=np.float32).reshape(-1, WIDTH),
    "fc7_bias": 100 + np.arange(IDENTITIES * 2, dtype=np.float32),
}
STATES = {f"mom:{name}": -array for name, array in WHOLE.items()}


def ranges(*ends, step=5):
    slices = [list(one) for one in zip((0, *ends[:-1]), ends, strict=True)]
    return Ranges(IDENTITIES, {"fc7_weight": 2, "fc7_bias": 2}, slices, 0, step)


def cut(arrays, begin, end):
    return {name: array[2 * begin : 2 * end] for name, array in arrays.items()}


def write(prefix, held):
    for rank, (begin, end) in enumerate(held.slices):
        write_shard(prefix, held, rank, cut(WHOLE, begin, end), cut(STATES, begin, end))


@pytest.fixture
def prefix(tmp_path):
    return str(tmp_path / "model")


@pytest.mark.parametrize("ends", [(7,), (3, 7), (2, 4, 7), (1, 2, 3, 4, 5, 6, 7)])
def test_any_rows_are_read_whatever_the_ranges(prefix, ends):
    write(prefix, ranges(*ends))
    stored = StoredClassifier(prefix, "last", ranges(*ends), has_states=True)
    for name, array in (WHOLE | STATES).items():
        assert stored.shape(name) == array.shape
        assert np.array_equal(stored.whole(name), array)
        for begin in range(len(array)):
            for end in range(begin, len(array) + 1):
                rows = np.full(array[begin:end].shape, np.nan, np.float32)
                stored.read(name, begin, rows)
                assert np.array_equal(rows, array[begin:end])


def last_of(prefix, held):
    save_last(prefix, LastState({"w": np.ones(2, np.float32)}, {}, {"mom:w": np.zeros(2)},
                                {"classifier": held._asdict()}))  # fmt: skip
    return read_last(prefix)


def test_a_last_state_gets_its_classifier_back_whole(prefix):
    held = ranges(3, 7)
    write(prefix, held)
    last = with_classifier(last_of(prefix, held), prefix)
    assert "classifier" not in last.record
    assert last.arg_params.keys() == {"w", *WHOLE} and last.state.keys() == {"mom:w", *STATES}
    assert np.array_equal(last.state["mom:fc7_bias"], STATES["mom:fc7_bias"])
    assert with_classifier(last, prefix) is last


def test_files_of_other_steps_go_and_no_others(prefix, tmp_path):
    for step in (5, 6):
        write(prefix, ranges(3, 7, step=step))
    others = ["model-last.params", "model2-last-fc7-000000005-0-of-2.params", "notes.txt"]
    for name in others:
        (tmp_path / name).touch()
    remove_others(prefix, ranges(3, 7, step=6))
    left = {path.name for path in tmp_path.iterdir()}
    assert {name for name in left if "000000005" in name} == {others[1]}
    assert len(left) == 4 + len(others)
    remove_others(prefix, None)
    assert {path.name for path in tmp_path.iterdir()} == {*others}


@pytest.mark.parametrize("can_link", [True, False])
def test_a_numbered_checkpoint_keeps_the_rows(prefix, monkeypatch, can_link):
    if not can_link:
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError("no links")))
    held = ranges(3, 7)
    write(prefix, held)
    keep_shards(prefix, 12, held)
    remove_others(prefix, None)
    stored = stored_classifier(prefix, 12)
    assert stored.names == ["fc7_weight", "fc7_bias"]
    assert np.array_equal(stored.whole("fc7_weight"), WHOLE["fc7_weight"])
    assert stored_classifier(prefix, 13) is None


def test_a_number_that_is_written_again_leaves_nothing_of_before(prefix, tmp_path):
    for held in (ranges(3, 7), ranges(7)):
        write(prefix, held)
        keep_shards(prefix, 12, held)
    remove_others(prefix, None)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["model-0012-fc7-0-of-1.params", "model-0012-fc7.json"]
    drop_shards(prefix, 12)
    assert not list(tmp_path.iterdir()) and stored_classifier(prefix, 12) is None


def without(path):
    path.unlink()


def shorter(path):
    path.write_bytes(path.read_bytes()[:-9])


def other_rows(path):
    write_params(path, {f"arg:{name}": array[:5] for name, array in WHOLE.items()})


def other_type(path):
    write_params(path, {f"arg:{n}": cut(WHOLE, 3, 7)[n].astype(np.float64) for n in WHOLE})


def one_missing(path):
    write_params(path, {"arg:fc7_weight": cut(WHOLE, 3, 7)["fc7_weight"]})


def a_stranger(path):
    write_params(path, {f"arg:{n}": a for n, a in cut(WHOLE, 3, 7).items()}
                 | {"arg:fc1_weight": np.zeros((8, 2), np.float32)})  # fmt: skip


@pytest.mark.parametrize(
    "damage, error, said",
    [
        (without, FileNotFoundError, "no parameter file"),
        (shorter, ValueError, "not a readable MXNet parameter file"),
        (other_rows, ValueError, r"fc7_weight is float32 \(5, 3\), not float32 of 8 rows"),
        (other_type, ValueError, r"fc7_weight is float64 \(8, 3\), not float32 of 8 rows"),
        (one_missing, ValueError, "fc7_bias is not in all 2 files"),
        (a_stranger, ValueError, "fc1_weight is float32 .* not float32 of 0 rows"),
    ],
)
def test_damaged_files_are_refused(prefix, damage, error, said):
    held = ranges(3, 7)
    write(prefix, held)
    last = last_of(prefix, held)
    damage(shard_path(prefix, "last", held, 1))
    with pytest.raises(error, match=said):
        classifier_of(prefix, last)


@pytest.mark.parametrize("of", [lambda path: path, states_path])
def test_files_that_changed_their_names_are_refused(prefix, tmp_path, of):
    held = ranges(2, 4, 7)
    write(prefix, held)
    first, second = (of(shard_path(prefix, "last", held, rank)) for rank in (0, 1))
    first.rename(tmp_path / "kept")
    second.rename(first)
    (tmp_path / "kept").rename(second)
    with pytest.raises(ValueError, match="holds the rows from identity 2 on, not from 0 on"):
        StoredClassifier(prefix, "last", held, has_states=True)


def test_missing_states_are_refused(prefix):
    held = ranges(3, 7)
    write(prefix, held)
    states_path(shard_path(prefix, "last", held, 0)).unlink()
    with pytest.raises(FileNotFoundError, match="0-of-2-state.params"):
        classifier_of(prefix, last_of(prefix, held))


@pytest.mark.parametrize(
    "change",
    [
        {"slices": [[0, 3], [4, 7]]}, {"slices": [[0.0, 7]]}, {"slices": [[0, 7], [7, 7]]},
        {"slices": [[0, 6]]}, {"slices": []}, {"slices": "x"}, {"slices": [[0, 7, 9]]},
        {"slices": [[0, "7"]]}, {"rows": []}, {"rows": {"fc7_weight": "2"}}, {"identities": -1},
        {"step": None},
        {"count": True}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_list_is_refused(prefix, change):
    held = ranges(3, 7)
    write(prefix, held)
    keep_shards(prefix, 1, held)
    list_path(prefix, 1).write_text(json.dumps(held._asdict() | change))
    with pytest.raises(ValueError, match=r"model-0001-fc7.json: classifier is .*, not what its"):
        stored_classifier(prefix, 1)


def test_a_file_that_shrinks_while_it_is_read_is_refused(prefix, tmp_path):
    path = tmp_path / "a.params"
    write_params(path, {"arg:w": np.zeros((4, 3), np.float32)})
    stored = StoredRows(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match="arg:w was cut off while it was read"):
        stored.read("arg:w", 2, np.empty((2, 3), np.float32))


@pytest.mark.parametrize("begin, shape", [(3, (2, 3)), (-1, (2, 3)), (0, (2, 2)), (0, (5, 3))])
def test_rows_that_an_array_does_not_have_are_refused(tmp_path, begin, shape):
    """Behind it lies another, whose values would be taken."""
    path = tmp_path / "a.params"
    arrays = {"arg:w": np.zeros((4, 3)), "arg:x": np.ones((4, 3)), "arg:y": np.ones((4, 3))}
    write_params(path, {name: array.astype(np.float32) for name, array in arrays.items()})
    with pytest.raises(ValueError, match=r"arg:w is float32 \(4, 3\), and has no rows"):
        StoredRows(path).read("arg:w", begin, np.empty(shape, np.float32))


@pytest.mark.parametrize("begin, count", [(13, 2), (-1, 3), (0, 15)])
def test_rows_behind_the_last_range_are_refused(prefix, begin, count):
    write(prefix, ranges(3, 7))
    stored = StoredClassifier(prefix, "last", ranges(3, 7), has_states=True)
    with pytest.raises(ValueError, match=r"fc7_weight is \(14, 3\), and has no rows"):
        stored.read("fc7_weight", begin, np.empty((count, WIDTH), np.float32))


def test_a_file_of_another_width_is_refused(prefix):
    held = ranges(3, 7)
    write(prefix, held)
    path = shard_path(prefix, "last", held, 1)
    write_params(path, {"arg:fc7_weight": np.zeros((8, 9), np.float32),
                        "arg:fc7_bias": np.zeros(8, np.float32)})  # fmt: skip
    stored = StoredClassifier(prefix, "last", held, has_states=True)
    with pytest.raises(ValueError, match=r"arg:fc7_weight is float32 \(8, 9\), and has no rows"):
        stored.whole("fc7_weight")

"""The record in a last state is looked at before a run goes on from it."""

import copy

from arcface_mxnet.training.resume import check_record
import pytest

RECORD = {
    "position": {"step": 4, "verifications": 1, "best": {"accuracy": 0.5, "total": 0.5}},
    "batches": {"plan": "shuffled", "images_per_batch": 8, "seed": 1, "place": {"epoch": 0}},
    "metric": [[1.5, 8], [float("nan"), 0]],
    "config": {"target": ["lfw"], "lr": 0.1, "ctx": None},
    "num_devices": 1,
    "data": ["0123456789abcdef"],
}


def test_a_sound_record():
    check_record(RECORD, "m-last.params")
    check_record(RECORD | {"batches": RECORD["batches"] | {"place": None}}, "m-last.params")
    check_record(RECORD | {"places": [RECORD["batches"]] * 2}, "m-last.params")


def with_value(place, value):
    record = copy.deepcopy(RECORD)
    *way, last = place.split(".")
    inner = record
    for name in way:
        inner = inner[name]
    inner[last] = value
    return record


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("position", []), ("position.step", -1), ("position.step", True), ("position.step", 2**60),
        ("position.best.accuracy", "1"), ("batches.seed", 1.5), ("batches.place", [1]),
        ("batches.place", {"epoch": -1}), ("metric", [[1]]), ("metric", None),
        ("config", {"target": ["lfw"], "lr": [[[]]]}), ("config.target", "lfw"),
        ("num_devices", None), ("data", [1]), ("places", {}), ("places", [RECORD["batches"], {}]),
    ],
)  # fmt: skip
def test_a_field_of_another_kind_is_named(place, value):
    with pytest.raises(ValueError, match=f"^m-last.params: not the record of a run: {place}.* is "):
        check_record(with_value(place, value), "m-last.params")


def test_no_record_at_all():
    with pytest.raises(ValueError, match="not the record of a run: position.step is None"):
        check_record("text", "m-last.params")

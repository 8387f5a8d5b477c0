"""What ends a run costs nothing: the last whole step is saved, and --resume goes on from there."""

import errno
import json
from pathlib import Path
import shutil

from arcface_mxnet.batches.source import BatchSource
from arcface_mxnet.checkpoints.last_state import has_last, load_last
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training import recorder
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
import mxnet as mx
import numpy as np
import pytest

from tests.batches.spoiling import spoil


def state_of(prefix):
    """Return all arrays of a last state, and what its record says of the place."""
    last = load_last(str(prefix))
    arrays = {**last.arg_params, **last.aux_params, **last.state}
    record = {name: last.record[name] for name in ("position", "batches", "metric")}
    return {name: array.asnumpy() for name, array in arrays.items()}, record


def assert_same_state(left, right):
    (arrays, record), (others, other_record) = state_of(left), state_of(right)
    assert record == other_record
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def failing_at(monkeypatch, owner, name, count, error):
    """Let a method raise at its count-th call, before it does anything."""
    method, calls = getattr(owner, name), []

    def counted(self, *arguments):
        calls.append(arguments)
        if len(calls) == count:
            raise error
        return method(self, *arguments)

    monkeypatch.setattr(owner, name, counted)


@pytest.mark.parametrize("error", [ValueError("record 5 has identity 9"), KeyboardInterrupt()])
@pytest.mark.parametrize(("accumulate", "devices"), [(1, 1), (3, 1), (3, 2)])
def test_an_error_of_the_source_saves_the_last_whole_step(
    options, tmp_path, monkeypatch, caplog, error, accumulate, devices
):
    caplog.set_level("INFO")
    run = options | {"verbose": 100, "max_steps": 7, "accumulate": accumulate, "rand_shift": 2}
    run |= {"per_batch_size": 4 // devices}
    ctx = [mx.cpu(i) for i in range(devices)]
    straight = tmp_path / "straight"
    train(TrainConfig(**run | {"prefix": str(straight)}), ctx)
    with monkeypatch.context() as patch:
        # In the middle of step 5 where there is one.
        failing_at(patch, BatchSource, "__next__", 4 * accumulate + (accumulate + 1) // 2, error)
        with pytest.raises(type(error)):
            train(TrainConfig(**run), ctx)
    assert "saved the last whole step, 4; go on with --resume" in caplog.text
    assert state_of(run["prefix"])[1]["position"]["step"] == 4
    train(TrainConfig(**run, resume=True), ctx)
    assert_same_state(straight, run["prefix"])


def test_before_the_first_step_there_is_nothing_to_save(options, monkeypatch):
    failing_at(monkeypatch, BatchSource, "__next__", 1, ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        train(TrainConfig(**options, max_steps=3))
    assert not has_last(options["prefix"])


def test_what_is_saved_already_is_not_saved_again(options, monkeypatch, caplog):
    caplog.set_level("INFO")
    failing_at(monkeypatch, BatchSource, "__next__", 5, ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        train(TrainConfig(**options, max_steps=9))  # verified and saved at step 4
    assert "last whole step" not in caplog.text
    assert state_of(options["prefix"])[1]["position"]["step"] == 4


@pytest.mark.parametrize("method", ["first_bad_output", "update"])
def test_half_a_step_that_cannot_be_taken_back_is_not_saved(options, monkeypatch, caplog, method):
    run = options | {"accumulate": 2 if method == "update" else 1}
    if method == "update":  # half of the weights have moved
        update, calls = MxnetStepper.update, []

        def interrupted(self, lr):
            update(self, lr)
            calls.append(lr)
            if len(calls) == 6:
                raise KeyboardInterrupt

        monkeypatch.setattr(MxnetStepper, method, interrupted)
    else:
        failing_at(monkeypatch, MxnetStepper, method, 6, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(TrainConfig(**run, max_steps=9))
    assert "step 6 was cut off half made and cannot be taken back" in caplog.text
    assert state_of(options["prefix"])[1]["position"]["step"] == 4


def test_weights_that_are_no_numbers_are_not_saved(options, monkeypatch, caplog):
    update, calls = MxnetStepper.update, []

    def breaking(self, lr):
        update(self, lr)
        calls.append(lr)
        if len(calls) == 6:
            self._executors[0].arg_dict["conv0_weight"][:] = np.nan

    monkeypatch.setattr(MxnetStepper, "update", breaking)
    failing_at(monkeypatch, BatchSource, "__next__", 7, ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        train(TrainConfig(**options, max_steps=9))
    assert "'conv0_weight' is NaN or infinite: what was saved stays" in caplog.text
    assert state_of(options["prefix"])[1]["position"]["step"] == 4


def test_what_cannot_be_verified_costs_nothing(options, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(recorder, "validate", fail)
    with pytest.raises(OSError, match="Input/output error"):
        train(TrainConfig(**options, max_steps=9))
    assert state_of(options["prefix"])[1]["position"]["step"] == 4


def test_a_full_disk_leaves_the_older_state_and_ends_with_its_own_message(
    options, monkeypatch, caplog
):
    save = recorder.save_last

    def full(prefix, last):
        if last.record["position"]["step"] > 4:
            raise OSError(errno.ENOSPC, "No space left on device", f"{prefix}-last.params")
        save(prefix, last)

    monkeypatch.setattr(recorder, "save_last", full)
    with pytest.raises(OSError, match="No space left on device"):
        train(TrainConfig(**options, max_steps=9))
    assert "step 8 could not be saved" in caplog.text
    assert state_of(options["prefix"])[1]["position"]["step"] == 4


@pytest.fixture
def spoilt(options, dataset_dir, tmp_path):
    """Return the options of a run whose dataset has two bad records."""
    folder = tmp_path / "spoilt"
    shutil.copytree(dataset_dir, folder)
    spoil(folder, 5, 18)
    return options | {"data_dir": str(folder), "rand_shift": 2, "max_bad": 2, "verbose": 100}


def bad_records(run):
    return json.loads(Path(f"{run['prefix']}-run.json").read_text())["bad_records"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_run_goes_on_past_bad_records_and_resumes_bit_for_bit(spoilt, tmp_path, threads):
    straight = spoilt | {"prefix": str(tmp_path / "straight")}
    train(TrainConfig(**straight, max_steps=8))
    everything = {"count": 2, "keys": {spoilt["data_dir"]: [5, 18]}}
    assert bad_records(straight) == everything
    counts = []
    for step in range(1, 9):  # resumed at, before and after each of them
        train(TrainConfig(**spoilt, max_steps=step, resume=True, num_threads=threads))
        found = load_last(spoilt["prefix"]).record["batches"]["bad_records"]
        assert bad_records(spoilt)["count"] == len(found)
        counts.append(len(found))
    assert counts[0] == 0 and set(counts) == {0, 1, 2}, "a step without, between, and after"
    assert bad_records(spoilt) == everything
    last = load_last(spoilt["prefix"])
    arrays, _ = state_of(straight["prefix"])
    for name, array in {**last.arg_params, **last.aux_params, **last.state}.items():
        np.testing.assert_array_equal(array.asnumpy(), arrays[name], err_msg=name)


def test_beyond_max_bad_it_ends_saved_and_goes_on_with_more(spoilt, tmp_path):
    straight = spoilt | {"prefix": str(tmp_path / "straight")}
    train(TrainConfig(**straight, max_steps=8))
    with pytest.raises(ValueError, match=r"do not decode: 2; --max-bad allows 1\..*--resume"):
        train(TrainConfig(**spoilt | {"max_bad": 1}, max_steps=8))
    assert load_last(spoilt["prefix"]).record["position"]["step"] >= 1
    assert bad_records(spoilt)["count"] == 1
    train(TrainConfig(**spoilt, max_steps=8, resume=True))
    assert_same_state(straight["prefix"], spoilt["prefix"])

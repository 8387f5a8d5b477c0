"""Whole runs: what they write, that they resume exactly, how they stop."""

from contextlib import contextmanager
import csv
from dataclasses import replace
import json
import os
from pathlib import Path
import shutil
import signal
import threading

from arcface_mxnet.checkpoints.last_state import load_last, save_last
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.checkpoints.names import checkpoint_numbers
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.training import first as first_module
from arcface_mxnet.training import loop, on_mxnet, recorder
from arcface_mxnet.training.loop import DivergedError, train
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.plan import make_plan
from arcface_mxnet.training.resume import Position
import mxnet as mx
import numpy as np
import pytest


def params_of(checkpoint):
    _, args, aux = load_checkpoint(checkpoint)
    return {name: array.asnumpy() for name, array in (args | aux).items()}


def read_run(options):
    return json.loads(Path(f"{options['prefix']}-run.json").read_text())


def read_metrics(options):
    with Path(f"{options['prefix']}-metrics.csv").open() as file:
        return list(csv.DictReader(file))


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(right[name], array, err_msg=name)


@contextmanager
def stopped_after(monkeypatch, step):
    """Let a run receive SIGTERM while it makes this step."""
    seen = []
    update = MxnetStepper.update

    def counted(self, lr):
        update(self, lr)
        seen.append(lr)
        if len(seen) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(MxnetStepper, "update", counted)
        yield


def test_a_run_leaves_checkpoints_and_logs(options):
    result = train(TrainConfig(**options, max_steps=10, ckpt=2))
    assert (result.steps, result.stopped_by) == (10, None)
    assert [score.target for score in result.results] == ["held"]
    numbers = [1, 2, 3]  # steps 4, 8 and the end
    for number in numbers:
        symbol, args, _ = load_checkpoint(f"{options['prefix']},{number}")
        assert args["fc7_weight"].shape == (6, 8)
    assert symbol.list_outputs()[0] == "embedding_output"
    assert '"LeakyReLU"' in symbol.tojson()
    run = read_run(options)
    assert [entry["step"] for entry in run["validation"]] == [4, 8, 10]
    assert run["config"]["margin_s"] == 8.0
    assert run["data"][0]["images"] == 24
    rows = read_metrics(options)
    assert [int(row["step"]) for row in rows if row["metric"] == "acc"] == [2, 4, 6, 8, 10]


def test_same_seed_same_parameters_other_seed_others(options, tmp_path):
    ends = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = options | {"prefix": str(tmp_path / name), "seed": seed}
        ends.append(params_of(train(TrainConfig(**run, max_steps=4)).checkpoint))
    assert_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0]["fc7_weight"], ends[2]["fc7_weight"])


@pytest.mark.parametrize("threads", [1, 3])
def test_resumed_equals_never_stopped_bit_for_bit(options, tmp_path, monkeypatch, threads):
    run = options | {"max_steps": 11, "rand_shift": 2, "cutoff": 4, "color": 1}
    straight = train(TrainConfig(**run | {"prefix": str(tmp_path / "straight")}))
    with stopped_after(monkeypatch, 5):
        first = train(TrainConfig(**run))
    assert (first.steps, first.stopped_by) == (5, "SIGTERM")
    second = train(TrainConfig(**run, resume=True, num_threads=threads))
    assert second.steps == 11
    assert_equal(params_of(straight.checkpoint), params_of(second.checkpoint))
    with Path(f"{tmp_path}/straight-metrics.csv").open() as file:
        assert list(csv.DictReader(file)) == read_metrics(options)
    left, right = load_last(str(tmp_path / "straight")), load_last(options["prefix"])
    assert left.record["position"] == right.record["position"]
    assert left.record["batches"] == right.record["batches"]
    for name, array in left.state.items():
        np.testing.assert_array_equal(right.state[name].asnumpy(), array.asnumpy())


def test_metrics_of_a_resumed_run_are_not_doubled(options):
    train(TrainConfig(**options, max_steps=4))
    train(TrainConfig(**options, max_steps=8, resume=True))
    rows = read_metrics(options)
    assert [int(row["step"]) for row in rows if row["metric"] == "acc"] == [2, 4, 6, 8]
    run = read_run(options)
    assert [entry["step"] for entry in run["validation"]] == [4, 8]


def test_resume_of_nothing_starts(options):
    assert train(TrainConfig(**options, max_steps=2, resume=True)).steps == 2


def test_a_second_run_of_a_prefix_is_refused(options):
    train(TrainConfig(**options, max_steps=2))
    with pytest.raises(ValueError, match="already holds a run that has come to step 2; give"):
        train(TrainConfig(**options, max_steps=4))


def test_resume_with_other_options_is_refused_and_says_which(options):
    train(TrainConfig(**options, max_steps=2))
    changed = options | {"lr": 0.02, "margin_m": 0.2}
    with pytest.raises(ValueError, match=r"(?s)--margin-m: was 0.1, now 0.2.*--lr: was 0.01"):
        train(TrainConfig(**changed, max_steps=4, resume=True))


def test_resume_on_other_data_is_refused(options, dataset_dir, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(dataset_dir, folder)
    run = options | {"data_dir": str(folder)}
    train(TrainConfig(**run, max_steps=2))
    (folder / "property").write_text("6,16,16\n\n")
    told = r"(?s)these options changed.*data: was \['\w{16}-\w{16}'\], now"
    with pytest.raises(ValueError, match=told):
        train(TrainConfig(**run, max_steps=4, resume=True))


def test_resume_with_another_number_of_machines_is_refused(options):
    train(TrainConfig(**options, max_steps=2))
    last = load_last(options["prefix"])
    assert last.record["num_machines"] == 1
    save_last(options["prefix"], replace(last, record=last.record | {"num_machines": 2}))
    with pytest.raises(ValueError, match=r"(?s)give them as before, or .*machines: were 2, now 1"):
        train(TrainConfig(**options, max_steps=4, resume=True))
    older = {name: value for name, value in last.record.items() if name != "num_machines"}
    save_last(options["prefix"], replace(last, record=older))
    assert train(TrainConfig(**options, max_steps=4, resume=True)).steps == 4


def test_best_scores_of_other_targets_are_forgotten(options):
    train(TrainConfig(**options, max_steps=2))
    last = load_last(options["prefix"])
    assert Position.of(last, TrainConfig(**options)).best.accuracy > 0
    other = Position.of(last, TrainConfig(**options | {"target": ("held", "lfw")}))
    assert (other.step, other.verifications, other.best.accuracy) == (2, 1, -1.0)


def test_several_devices(options):
    run = options | {"per_batch_size": 3}
    result = train(TrainConfig(**run, max_steps=3), [mx.cpu(0), mx.cpu(1)])
    assert result.steps == 3
    with pytest.raises(ValueError, match="devices: were 2, now 1"):
        train(TrainConfig(**run, max_steps=4, resume=True))


def test_accumulated_batches_count_as_one_step(options, caplog):
    caplog.set_level("INFO")
    train(TrainConfig(**options, accumulate=2, end_epoch=1))
    assert "5 images x 1 device(s) x 2 accumulated = 10 images per step" in caplog.text
    assert "ends at step 2 " in caplog.text  # 24 images: 4 batches of 5


def test_divergence_names_the_output_and_keeps_what_was_saved(options, monkeypatch):
    train(TrainConfig(**options, max_steps=4))
    before = params_of(f"{options['prefix']},last")
    of_others = set(threading.enumerate())
    monkeypatch.setattr(loop, "learning_rate", lambda *arguments: 1e38)
    with pytest.raises(DivergedError, match=r"step 6: '\w+_output' is NaN or infinite"):
        train(TrainConfig(**options, max_steps=20, resume=True))
    assert_equal(before, params_of(f"{options['prefix']},last"))
    left = set(threading.enumerate()) - of_others
    assert not [thread for thread in left if thread.name.startswith("read")]


@pytest.mark.parametrize("end", ["a verification", "a signal"])
def test_broken_weights_do_not_replace_what_was_saved(options, monkeypatch, end):
    train(TrainConfig(**options, max_steps=4))
    before = params_of(f"{options['prefix']},last")
    update = MxnetStepper.update

    def breaking(self, lr):
        update(self, lr)
        self._executors[0].arg_dict["conv0_weight"][:] = np.nan
        if end == "a signal":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(MxnetStepper, "update", breaking)
    run = options | {"verbose": 5 if end == "a verification" else 100}
    with pytest.raises(DivergedError, match="step 5: 'conv0_weight' is NaN or infinite"):
        train(TrainConfig(**run, max_steps=20, resume=True, ckpt=2))
    assert checkpoint_numbers(options["prefix"]) == [1]
    assert_equal(before, params_of(f"{options['prefix']},last"))


@pytest.mark.parametrize(("ckpt", "saved"), [(0, []), (1, [1, 3]), (2, [1, 2, 3]), (3, [1])])
def test_save_rules(options, monkeypatch, ckpt, saved):
    accuracies = iter([0.6, 0.5, 0.7])

    def validate(*arguments):
        return [recorder.TargetResult("held", next(accuracies), 0.0, 1.0)]

    monkeypatch.setattr(recorder, "validate", validate)
    train(TrainConfig(**options | {"verbose": 1}, max_steps=3, ckpt=ckpt))
    assert checkpoint_numbers(options["prefix"]) == saved
    assert load_last(options["prefix"]).record["position"]["best"]["accuracy"] == 0.7


def test_absent_targets_are_named(options, caplog):
    caplog.set_level("INFO")
    run = options | {"target": ("lfw", "held")}
    assert [r.target for r in train(TrainConfig(**run, max_steps=1)).results] == ["held"]
    assert "verification on lfw is left out: no file" in caplog.text


def test_a_pair_set_with_too_few_pairs_is_refused_at_once(options, dataset_dir, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("train.rec", "train.idx", "property"):
        (folder / name).symlink_to(dataset_dir / name)
    write_pair_set(folder / "held.bin", PairSet([b"x"] * 4, np.array([True, False])))
    run = options | {"data_dir": str(folder)}
    with pytest.raises(ValueError, match=r"held\.bin: 2 pair\(s\) cannot be cut into 10"):
        train(TrainConfig(**run, max_steps=1))


def test_an_image_size_that_the_network_does_not_take(options):
    run = options | {"network": "y1", "emb_size": 128, "image_size": (64, 64)}
    with pytest.raises(ValueError, match=r"network y1 with head GDC does not take images of 64x64"):
        train(TrainConfig(**run, version_output="GDC"))


def test_accumulation_adds_our_own_operators_gradients_too(options, tmp_path):
    """Two batches of 5 accumulated equal the sum of their gradients (PReLU included)."""
    plan = make_plan(TrainConfig(**options, accumulate=2, mom=0.0, wd=0.0))
    args, aux = first_module.initial_params(plan.published, plan.shapes, plan.network.initializer())
    rng = np.random.RandomState(0)
    halves = [
        {
            "data": mx.nd.array(rng.randint(0, 256, plan.shapes["data"])),
            "softmax_label": mx.nd.array(rng.randint(0, 6, 5)),
        }
        for _ in range(2)
    ]
    moved = []
    for batches in ([halves[0]] * 2, [halves[1]] * 2, halves):
        stepper = on_mxnet.make_stepper(plan, args, aux, None)
        for batch in batches:
            mx.random.seed(3)
            stepper.forward_backward(batch)
        stepper.update(1.0)
        slopes = stepper.params()[0]["relu0_gamma"]
        moved.append((slopes - args["relu0_gamma"]).asnumpy())
    assert np.abs(moved[2]).max() > 0
    np.testing.assert_allclose(moved[2], (moved[0] + moved[1]) / 2, rtol=1e-4, atol=1e-7)


def test_tensorboard_gets_the_metrics(options):
    pytest.importorskip("tensorboardX")
    train(TrainConfig(**options, max_steps=4, tensorboard=True))
    events = list(Path(f"{options['prefix']}-tensorboard").iterdir())
    written = b"".join(path.read_bytes() for path in events)
    for tag in (b"acc", b"free_acc", b"lr", b"held/accuracy"):
        assert tag in written


def test_bad_network_and_bad_folder_are_told_before_anything_is_read(options, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--prefix .*cannot make .*file/sub: Not a directory"):
        train(TrainConfig(**options | {"prefix": str(tmp_path / "file" / "sub" / "m")}))
    with pytest.raises(ValueError, match=r"--network 'r51': unknown network.*did you mean r50\?"):
        train(TrainConfig(**options | {"network": "r51"}))


def test_frozen_statistics_stay_and_weights_learn(options, tmp_path):
    first = train(TrainConfig(**options, max_steps=3)).checkpoint
    run = options | {"prefix": str(tmp_path / "fine"), "pretrained": first}
    second = train(TrainConfig(**run, max_steps=3, freeze_bn=1)).checkpoint
    before, after = params_of(first), params_of(second)
    for name in before:
        kept = np.array_equal(before[name], after[name])
        assert kept == ("moving" in name or name == "fc1_gamma"), name  # fixed gamma
    assert "use_global_stats" not in load_checkpoint(second)[0].tojson()
    with pytest.raises(ValueError, match="--freeze-bn 1 needs --pretrained"):
        train(TrainConfig(**options | {"prefix": str(tmp_path / "new")}, freeze_bn=1))

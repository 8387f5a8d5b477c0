"""Processes of torchrun train what one with as many devices would, and end together."""

import json
from pathlib import Path

from arcface_mxnet.checkpoints.last_state import load_last
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.plan_only import write_plan
import mxnet as mx
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from tests.training.networks import enter_networks  # noqa: E402
from tests.training.torchrun import run_job, run_of  # noqa: E402

GIVEN = {
    "network": "dry", "emb_size": 8, "per_batch_size": 4, "lr": 0.05, "margin_s": 8.0,
    "margin_m": 0.1, "accumulate": 2, "verbose": 2, "frequent": 1, "max_steps": 3,
    "target": ("held",), "rand_shift": 2,
}  # fmt: skip


def left_by(prefix):
    """Return the arrays of a last state, numpy's, and its record."""
    last = load_last(str(prefix))
    found = last.arg_params | last.aux_params | {f"state {k}": v for k, v in last.state.items()}
    return {name: array.asnumpy() for name, array in found.items()}, last.record


def assert_near(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5 * scale, err_msg=name)


@pytest.fixture(scope="module")
def ended(dataset_dir, tmp_path_factory):
    """Make all runs of this file in one job; return their folder, and what the job said."""
    folder = tmp_path_factory.mktemp("world")
    given = GIVEN | {"data_dir": str(dataset_dir)}
    plain = given | {"network": "plain", "target": (), "lr_steps": (3, 5), "lr_warmup": 2}
    with pytest.MonkeyPatch.context() as patch:
        enter_networks(lambda name, entry: patch.setitem(NETWORKS._entries, name, entry))
        write_plan(TrainConfig(**given, prefix=str(folder / "plan"), engine="torch"))
        train(TrainConfig(**given, prefix=str(folder / "alone"), engine="mxnet"),
              [mx.cpu(0), mx.cpu(1)])  # fmt: skip
        one = plain | {"per_batch_size": 8, "engine": "torch"}
        whole, moved = (one | {"prefix": str(folder / name)} for name in ("whole", "moved"))
        train(TrainConfig(**whole | {"max_steps": 6}))
        train(TrainConfig(**moved | {"max_steps": 2}))
        symbol = {"engine": "torch", "train_symbol": folder / "plan-train-symbol.json"}
        of_plan = given | symbol | {"resume": True}
        moved |= {"resume": True, "train_symbol": folder / "moved-symbol.json",
                  "pretrained": f"{folder / 'moved'},last"}  # fmt: skip
        code, said = run_job(
            run_of(2, **of_plan, prefix=folder / "together"),
            run_of(2, **moved | {"per_batch_size": 4, "max_steps": 4}),
            run_of(2, ("raise", 1, 2), ("kill", 1, 3), **of_plan, prefix=folder / "broken"),
            run_of(2, **{"wd@1": 0.25}, **of_plan, prefix=folder / "differing"),
            is_forked=True,
        )
        assert code != 0, said
        record = left_by(folder / "moved")[1]
        assert (record["num_machines"], record["position"]["images"]) == (2, 4 * 16), said
        del moved["train_symbol"], moved["pretrained"]
        train(TrainConfig(**moved | {"max_steps": 6}))
    return folder, said


def run_json(prefix):
    return json.loads(Path(f"{prefix}-run.json").read_text())


def test_two_processes_equal_one_with_two_devices(ended):
    folder, said = ended
    (left, record), (right, _) = left_by(folder / "together"), left_by(folder / "alone")
    assert_near(left, right)
    assert not np.array_equal(
        left["state aux0:bn0_moving_mean"], left["state aux1:bn0_moving_mean"]
    )
    assert (record["num_machines"], record["num_devices"]) == (2, 1)
    runs = [run_json(folder / name) for name in ("together", "alone")]
    assert [one["xnorm"] for one in runs[0]["validation"]] == pytest.approx(
        [one["xnorm"] for one in runs[1]["validation"]], rel=1e-4
    )
    # Rank 0 alone reports; the other has a file of its own.
    assert said.count(f"last state: {folder / 'together'},last") == 1
    assert (folder / "together-rank1.log").is_file()


def test_one_that_fails_or_is_killed_ends_all_and_the_restart_goes_on(ended):
    folder, said = ended
    assert "failed: a fault of this test; this one ends too" in said
    assert "saved the last whole step, 1; go on with --resume" in said
    assert "error: process 1 (pid" in said and "was killed" in said
    again, wanted = (left_by(folder / name)[0] for name in ("broken", "together"))
    for name, array in wanted.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert run_json(folder / "broken")["resumed_at"] == [1, 2]


def test_another_number_of_processes_goes_on(ended):
    folder, _ = ended
    assert_near(left_by(folder / "moved")[0], left_by(folder / "whole")[0])


def test_another_option_on_one_process_is_named(ended):
    folder, said = ended
    assert "--wd: 0.25 on process 1, 0.0005 on process 0" in said
    assert not list(folder.glob("differing*.params"))

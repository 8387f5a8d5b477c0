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
from tests.training.torchrun import run_job  # noqa: E402

GIVEN = {
    "network": "dry", "emb_size": 8, "per_batch_size": 4, "lr": 0.05, "margin_s": 8.0,
    "margin_m": 0.1, "accumulate": 2, "verbose": 2, "frequent": 1, "max_steps": 3,
    "target": ("held",), "rand_shift": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    enter_networks(lambda name, entry: monkeypatch.setitem(NETWORKS._entries, name, entry))


def flags(**options):
    texts = {k: ",".join(map(str, v)) if isinstance(v, tuple) else v for k, v in options.items()}
    return [
        f"--{name.replace('_', '-')}" + ("" if text is True else f"={text}")
        for name, text in texts.items()
    ]


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


def test_two_processes_equal_one_with_two_devices_also_when_one_was_killed(dataset_dir, tmp_path):
    given = GIVEN | {"data_dir": str(dataset_dir)}
    write_plan(TrainConfig(**given, prefix=str(tmp_path / "plan"), engine="torch"))
    of_job = given | {
        "engine": "torch", "train_symbol": tmp_path / "plan-train-symbol.json", "resume": True
    }  # fmt: skip
    together, broken, alone = (str(tmp_path / name) for name in ("together", "broken", "alone"))
    code, said = run_job(2, "none", 0, 0, *flags(**of_job | {"prefix": together}))
    assert code == 0, said
    train(TrainConfig(**given, prefix=alone, engine="mxnet"), [mx.cpu(0), mx.cpu(1)])
    (left, record), (right, _) = left_by(together), left_by(alone)
    assert_near(left, right)
    assert not np.array_equal(
        left["state aux0:bn0_moving_mean"], left["state aux1:bn0_moving_mean"]
    )
    assert (record["num_machines"], record["num_devices"]) == (2, 1)
    runs = [json.loads(Path(f"{prefix}-run.json").read_text()) for prefix in (together, alone)]
    assert [one["xnorm"] for one in runs[0]["validation"]] == pytest.approx(
        [one["xnorm"] for one in runs[1]["validation"]], rel=1e-4
    )
    # Rank 0 alone reports; the other has a file of its own.
    assert said.count("last state:") == 1
    assert Path(f"{together}-rank1.log").is_file()

    code, said = run_job(2, "kill", 1, 3, *flags(**of_job | {"prefix": broken}), restarts=1)
    assert code == 0, said
    assert "error: process 1 (pid" in said and "was killed" in said
    again, _ = left_by(broken)
    for name, array in left.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert json.loads(Path(f"{broken}-run.json").read_text())["resumed_at"] == [2]


def test_another_number_of_processes_goes_on(dataset_dir, tmp_path):
    given = GIVEN | {
        "data_dir": str(dataset_dir), "network": "plain", "engine": "torch", "resume": True,
        "target": (), "lr_steps": (3, 5), "lr_warmup": 2,
    }  # fmt: skip
    moved, whole = str(tmp_path / "moved"), str(tmp_path / "whole")
    one = given | {"per_batch_size": 8}
    train(TrainConfig(**one | {"prefix": whole, "max_steps": 6}))
    train(TrainConfig(**one | {"prefix": moved, "max_steps": 2}))
    code, said = run_job(2, "none", 0, 0, *flags(**given | {"prefix": moved, "max_steps": 4}))
    assert code == 0, said
    _, record = left_by(moved)
    assert (record["num_machines"], record["position"]["images"]) == (2, 4 * 16)
    train(TrainConfig(**one | {"prefix": moved, "max_steps": 6}))
    assert_near(left_by(moved)[0], left_by(whole)[0])


def test_another_option_on_one_process_is_named(dataset_dir, tmp_path):
    given = GIVEN | {"data_dir": str(dataset_dir), "prefix": str(tmp_path / "out"), "wd@1": 0.25}
    write_plan(TrainConfig(**GIVEN, data_dir=str(dataset_dir), prefix=str(tmp_path / "plan")))
    given |= {"engine": "torch", "train_symbol": tmp_path / "plan-train-symbol.json"}
    code, said = run_job(2, "none", 0, 0, *flags(**given))
    assert code != 0
    assert "--wd: 0.25 on process 1, 0.0005 on process 0" in said
    assert not list(tmp_path.glob("out*.params"))

"""Two processes of torchrun train what one with two devices would, and end together."""

import json
from pathlib import Path

from arcface_mxnet.checkpoints.last_state import load_last
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.loop import train
import mxnet as mx
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from tests.training.process import enter_networks  # noqa: E402
from tests.training.torchrun import run_job  # noqa: E402

GIVEN = {
    "emb_size": 8, "per_batch_size": 4, "lr": 0.05, "margin_s": 8.0, "margin_m": 0.1,
    "accumulate": 2, "verbose": 2, "frequent": 1, "max_steps": 3, "target": ("held",),
    "rand_shift": 2,
}  # fmt: skip


def flags(**options):
    texts = {k: ",".join(v) if isinstance(v, tuple) else v for k, v in options.items()}
    return [f"--{name.replace('_', '-')}={text}" for name, text in texts.items()]


def arrays(prefix):
    last = load_last(str(prefix))
    found = last.arg_params | last.aux_params | {f"state {k}": v for k, v in last.state.items()}
    return {name: array.asnumpy() for name, array in found.items()}, last.record


def test_two_processes_equal_one_with_two_devices(monkeypatch, dataset_dir, tmp_path):
    enter_networks()
    given = GIVEN | {"data_dir": str(dataset_dir), "network": "dry"}
    together, alone = str(tmp_path / "together"), str(tmp_path / "alone")
    code, said = run_job(2, "none", 0, 0, *flags(**given, prefix=together, engine="torch"))
    assert code == 0, said
    train(TrainConfig(**given, prefix=alone, engine="mxnet"), [mx.cpu(0), mx.cpu(1)])
    (left, record), (right, _) = arrays(together), arrays(alone)
    assert left.keys() == right.keys()
    for name, wanted in right.items():
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(left[name], wanted, rtol=0, atol=1e-5 * scale, err_msg=name)
    assert any(not np.array_equal(left[f"state aux0:{n}"], left[f"state aux1:{n}"])
               for n in ("bn0_moving_mean", "fc1_moving_var"))  # fmt: skip
    assert (record["num_machines"], record["num_devices"]) == (2, 1)
    runs = [json.loads(Path(f"{prefix}-run.json").read_text()) for prefix in (together, alone)]
    assert [one["xnorm"] for one in runs[0]["validation"]] == pytest.approx(
        [one["xnorm"] for one in runs[1]["validation"]], rel=1e-4
    )
    # Rank 0 alone reports; the other has a file of its own.
    assert said.count("last state:") == 1
    assert Path(f"{together}-rank1.log").is_file()

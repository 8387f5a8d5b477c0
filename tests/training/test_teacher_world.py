"""Two processes of torchrun with a teacher: one makes the vectors, both learn as one would."""

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.loop import train
import mxnet as mx
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from tests.training.networks import enter_networks  # noqa: E402
from tests.training.test_world import GIVEN, left_by  # noqa: E402
from tests.training.torchrun import run_job, run_of  # noqa: E402


def test_two_processes_equal_one_with_two_devices(dataset_dir, tmp_path):
    enter_networks()
    given = GIVEN | {"data_dir": str(dataset_dir), "network": "dry"}
    large = given | {"emb_size": 12, "prefix": str(tmp_path / "large"), "target": ()}
    taught = given | {"teacher": train(TrainConfig(**large)).checkpoint, "teacher_weight": 3.0}
    together, alone = str(tmp_path / "together"), str(tmp_path / "alone")
    code, said = run_job(run_of(2, **taught, prefix=together, engine="torch"))
    assert code == 0, said
    train(TrainConfig(**taught, prefix=alone, engine="mxnet"), [mx.cpu(0), mx.cpu(1)])
    (left, _), (right, _) = left_by(together), left_by(alone)
    assert left.keys() == right.keys() and "teacher_map_weight" in left
    for name, wanted in right.items():
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(left[name], wanted, rtol=0, atol=2e-5 * scale, err_msg=name)
    assert len(list(tmp_path.glob("together-teacher-*.npy"))) == 1

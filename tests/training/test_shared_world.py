"""A classifier shared out over processes of torchrun: as a dense one, and gone on from by more."""

from pathlib import Path

from arcface_mxnet.checkpoints.last_state import read_last
from arcface_mxnet.checkpoints.shards import stored_classifier, with_classifier
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from tests.training.test_world import GIVEN, assert_near, flags  # noqa: E402
from tests.training.torchrun import run_job  # noqa: E402


def train(count, prefix, given, *fault):
    """Return the record of a job's last state, and its arrays with the whole classifier."""
    restarts = 1 if fault else 0
    options = GIVEN | given | {"prefix": prefix, "resume": True}
    code, said = run_job(count, *(fault or ("none", 0, 0)), *flags(**options), restarts=restarts)
    assert code == 0, said
    assert ("was killed" in said) == bool(fault)
    last = read_last(str(prefix))
    whole = with_classifier(last, str(prefix))
    return last.record, whole.arg_params | whole.aux_params | whole.state


def test_two_processes_share_it_one_is_killed_and_three_go_on(dataset_dir, tmp_path):
    given = {"data_dir": str(dataset_dir), "engine": "torch", "grad_clip": 1.0, "accumulate": 1,
             "loss_type": "curricularface", "ckpt": 2}  # fmt: skip
    first, dense, shared = (tmp_path / name for name in ("first", "dense", "shared"))
    train(1, first, given | {"max_steps": 1})
    start = given | {"pretrained": f"{first},1"}
    _, wanted = train(2, dense, start)
    record, found = train(2, shared, start | {"classifier": "sharded"}, "kill", 1, 3)
    assert_near(found, wanted)
    identities = record["classifier"]["identities"]
    assert record["classifier"]["slices"] == [[0, identities // 2], [identities // 2, identities]]
    assert np.array_equal(
        stored_classifier(str(shared), 2).whole("fc7_weight"), found["fc7_weight"]
    )
    more, after = train(3, shared, start | {"classifier": "sharded", "max_steps": 6})
    assert len(more["classifier"]["slices"]) == 3
    assert sorted(p.name for p in tmp_path.glob("shared-last-fc7-*-of-*")) == sorted(
        f"shared-last-fc7-{more['classifier']['step']:09d}-{rank}-of-3{part}.params"
        for rank in range(3) for part in ("", "-state")
    )  # fmt: skip
    assert np.isfinite(after["fc7_weight"]).all()
    assert (after["fc7_weight"] != found["fc7_weight"]).any()
    assert Path(f"{shared}-rank2.log").is_file()

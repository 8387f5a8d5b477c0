"""What ends one machine of a job ends all, in order; --resume goes on from the last whole step."""

from itertools import islice
import re
import signal
import sys

from arcface_mxnet.batches.order import PLANS, Setting
from arcface_mxnet.checkpoints.last_state import has_last, load_last
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
import numpy as np
import pytest

from tests.batches.spoiling import spoil
from tests.training.conftest import write_dataset
from tests.training.jobs import TIMEOUT, free_port, start

OTHER = r"machine \d of this job failed, and its own messages say why"


def worker(prefix, data, *more, fault="none", step=0, steps=6, verbose=100):
    """Return what a worker is given."""
    flags = f"""--kvstore dist_sync --network tiny --emb-size 8 --per-batch-size 4
        --lr 0.01 --margin-s 8 --margin-m 0.1 --rand-shift 2 --max-steps {steps}
        --verbose {verbose}"""
    flags += f" --target= --data-dir={data} --prefix={prefix}"
    return ["job_worker", fault, step, *flags.split(), *more]


def step_of(prefix):
    return load_last(str(prefix)).record["position"]["step"]


def assert_same_state(left, right):
    left, right = load_last(str(left)), load_last(str(right))
    for part in ("position", "batches", "metric", "num_machines", "data"):
        assert left.record[part] == right.record[part]
    for name in ("arg_params", "aux_params", "state"):
        one, other = getattr(left, name), getattr(right, name)
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key].asnumpy(), other[key].asnumpy(), err_msg=key)


@pytest.fixture
def spoilt(tmp_path):
    """A dataset with a bad record, which machine 1 is the first to meet, in step 3."""
    folder = tmp_path / "data"
    write_dataset(folder)
    config = TrainConfig(per_batch_size=4)
    seed = int(np.random.default_rng(config.seed).integers(2**31))
    setting = Setting([FaceDataset(folder)], config, seed, worker=1, num_workers=2)
    third = next(islice(PLANS["shuffled"](setting).draws(), 2, None))
    spoil(folder, third.keys[0])
    return folder


def test_a_record_that_does_not_decode_on_one_machine(jobs, spoilt, tmp_path):
    cut, straight = tmp_path / "cut", tmp_path / "straight"
    ends = jobs.run(*[worker(cut, spoilt, "--max-bad", "0")] * 2)
    assert [code for code, _ in ends] == [2, 2, 0, 0], ends
    own, other = sorted(
        (text for _, text in ends[:2]), key=lambda text: "do not decode" not in text
    )
    assert re.search(
        r"error: records that do not decode: 1; --max-bad allows 0\. .*record \d+", own
    )
    assert re.search(rf"(?s)saved the last whole step, 2.*error: {OTHER}", other)
    assert step_of(cut) == 2
    for prefix in (cut, straight):
        ends = jobs.run(*[worker(prefix, spoilt, "--max-bad", "1", "--resume")] * 2)
        assert [code for code, _ in ends] == [0] * 4, ends
    assert_same_state(cut, straight)


def test_divergence_on_one_machine_leaves_what_was_saved(jobs, dataset_dir, tmp_path):
    prefix = tmp_path / "model"
    ends = jobs.run(*[worker(prefix, dataset_dir, fault="diverge", step=4, verbose=2)] * 2)
    assert [code for code, _ in ends] == [2, 2, 0, 0], ends
    told = ends[0][1] + ends[1][1]
    assert "error: step 4: 'bad_output' is NaN or infinite" in told
    assert re.search(r"error: machine 1 of this job diverged", told)
    assert step_of(prefix) == 2 and "last whole step" not in told


def test_a_full_disk_on_the_machine_that_saves(jobs, dataset_dir, tmp_path):
    prefix = tmp_path / "model"
    ends = jobs.run(*[worker(prefix, dataset_dir, fault="full-disk", step=4, verbose=2)] * 2)
    assert [code for code, _ in ends] == [2, 2, 0, 0], ends
    told = ends[0][1] + ends[1][1]
    assert re.search(r"error: .*no space is left on the disk", told) and re.search(OTHER, told)
    assert step_of(prefix) == 2


def test_a_machine_that_cannot_start(jobs, dataset_dir, tmp_path):
    prefix = tmp_path / "model"
    ends = jobs.run(worker(prefix, dataset_dir), worker(prefix, tmp_path / "absent"))
    assert [code for code, _ in ends] == [2, 2, 0, 0], ends
    assert "error: no dataset folder" in ends[1][1] and re.search(OTHER, ends[0][1])
    assert not has_last(str(prefix))


def test_a_prefix_that_is_not_shared_is_found_in_the_first_run(jobs, dataset_dir, tmp_path):
    ends = jobs.run(*(worker(tmp_path / name / "model", dataset_dir) for name in ("one", "two")))
    assert [code for code, _ in ends] == [2, 2, 0, 0], ends
    told = ends[0][1] + ends[1][1]
    assert "machine 1 does not see model-job-" in told and "the folder is not shared" in told
    assert re.search(OTHER, told)
    assert not list(tmp_path.glob("*/model-*"))


def test_a_killed_machine_is_missed_by_all(jobs, dataset_dir, tmp_path):
    prefix = tmp_path / "model"
    ends = jobs.run(
        *[worker(prefix, dataset_dir, fault="kill", step=4, verbose=2)] * 2,
        PS_HEARTBEAT_TIMEOUT="2",
    )
    codes = [code for code, _ in ends]
    assert sorted(codes[:2]) == [-signal.SIGKILL, 1] and codes[2:] == [1, 1], ends
    assert "error: worker 1 silent for 2 s: the job ends" in ends[2][1]
    left = ends[codes.index(1)][1]
    assert re.search(r"error: the scheduler at 127\.0\.0\.1:\d+ has been silent for 2 s", left)
    assert step_of(prefix) == 2


SCHEDULER = """
import os
os.environ["DMLC_ROLE"] = "worker"  # as node.py does
from arcface_mxnet.training import serving
os.environ["DMLC_ROLE"] = "scheduler"
serving.JOINING = 1
serving.serve("scheduler")
"""
LONELY = """
from arcface_mxnet.training import machines
machines.JOINING = 1
machines.Job("dist_sync")
"""


def test_those_who_wait_in_vain_for_the_others_to_come_end():
    port = free_port()
    processes = [
        start([sys.executable, "-c", code], role, port)
        for code, role in ((SCHEDULER, "scheduler"), (LONELY, "worker"))
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=TIMEOUT)
            assert process.returncode == 1
            assert f"waiting until the scheduler at 127.0.0.1:{port}, 1 server(s) and 2 " in errors
    finally:
        for process in processes:
            process.kill()

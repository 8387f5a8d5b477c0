"""Where a process of a job goes on in its batches."""

import logging
from types import SimpleNamespace

from arcface_mxnet.batches.order import PLANS, Setting
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.training.run import Run
import pytest

PLACES = [{"images_per_batch": 6, "place": {"bag": rank}} for rank in range(2)]
LOST = {"batches": PLACES[0], "num_devices": 1, "num_machines": 2}
KEPT = LOST | {"places": PLACES}


def place_of(record, rank, count=2, batch_plan="triplets"):
    plan = SimpleNamespace(
        config=SimpleNamespace(accumulate=1),
        ctx=[None],
        loss=SimpleNamespace(batch_plan=batch_plan),
    )
    machines = SimpleNamespace(rank=rank, count=count)
    run = Run(plan, machines, None, None, None, None, 0, None)
    return run._place_of(record)


@pytest.mark.parametrize("rank", [0, 1])
def test_as_many_go_on_each_in_its_own(rank):
    assert place_of(KEPT, rank) == (PLACES[rank], False)


@pytest.mark.parametrize("batch_plan", ["triplets", "shuffled"])
@pytest.mark.parametrize("rank", [0, 1])
def test_where_one_was_lost_rank_0s_alone_is_known(rank, batch_plan, caplog):
    assert place_of(LOST, rank, batch_plan=batch_plan) == (PLACES[0], rank == 1)
    is_told = "where rank 0 stood in its batches, and of no other" in caplog.text
    assert is_told == (batch_plan == "triplets")


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_goes_on_from_rank_0s(count, caplog):
    caplog.set_level(logging.WARNING)
    assert place_of(KEPT, 0, count) == (PLACES[0], True)
    assert not caplog.text


@pytest.mark.parametrize("rank", [0, 1])
def test_triplets_that_wait_are_trained_on_by_one_alone(dataset_dir, rank):
    config = TrainConfig(per_batch_size=6, loss_type="triplet")
    setting = Setting([FaceDataset(dataset_dir)], config, 1, 1, rank, 2, lambda number, keys: None)
    state = {"bag": 3, "number": 7, "waiting": [0, 1, 2, 3]}
    wanted = state if rank == 0 else state | {"waiting": []}
    assert PLANS["triplets"](setting).moved(state, 12, 12) == wanted

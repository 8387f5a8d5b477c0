"""The progress line, by a clock of the test's own."""

import math

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.progress import Progress
from arcface_mxnet.training.run import final_step
import pytest


def lines(last_step):
    seconds = iter([0.0, 10.0, 15.0])
    progress = Progress(8, last_step, lambda: next(seconds))
    progress.start(100, waited=1.0)
    return [progress.line(110, waited=2.0), progress.line(120, waited=2.5)]


def test_speed_waiting_and_end():
    # The speed is that since the last line, the end that of all lines: 15 s for 20 steps.
    assert lines(200) == [
        "8.0 samples/s, 10% waiting for data, 0:01:30 left",
        "16.0 samples/s, 10% waiting for data, 0:01:00 left",
    ]


@pytest.mark.parametrize("last_step", [math.inf, 10**12])
def test_an_end_out_of_sight_is_not_counted_in_days(last_step):
    assert lines(last_step)[-1].endswith("waiting for data, no end near")


def test_the_last_step():
    assert final_step(TrainConfig(), None) == math.inf
    assert final_step(TrainConfig(max_steps=7), None) == 7
    assert final_step(TrainConfig(end_epoch=2, accumulate=3), 10) == 6
    assert final_step(TrainConfig(end_epoch=2, max_steps=4), 10) == 4
    assert final_step(TrainConfig(end_epoch=1, accumulate=30), 10) == 1

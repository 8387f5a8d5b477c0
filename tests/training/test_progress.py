"""The progress line, by a clock of the test's own."""

import math

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.progress import Progress
from arcface_mxnet.training.run import final_images, steps_of
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
    assert final_images(TrainConfig(), None, 8, 8) == math.inf
    assert final_images(TrainConfig(max_steps=7), None, 8, 8) == 56
    assert final_images(TrainConfig(max_steps=7), None, 16, 8) == 56
    assert final_images(TrainConfig(end_epoch=2, accumulate=3), 10, 8, 8) == 48
    assert final_images(TrainConfig(end_epoch=2, max_steps=4), 10, 8, 8) == 32
    assert final_images(TrainConfig(end_epoch=3, accumulate=30), 10, 8, 8) == 8
    with pytest.raises(ValueError, match="--accumulate 30: one step .* the 20 batches .* 2 ends"):
        final_images(TrainConfig(end_epoch=2, accumulate=30, max_steps=1), 10, 8, 8)
    assert [steps_of(56, 8), steps_of(57, 8), steps_of(math.inf, 8)] == [7, 8, math.inf]

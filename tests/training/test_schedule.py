"""The learning rate at and around its milestones, to the end, and what is refused."""

import math

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.schedule import (
    SCHEDULES,
    Cosine,
    Poly,
    Steps,
    learning_rate,
    make_schedule,
    milestones,
)
import pytest


def test_drops_after_each_milestone():
    rates = [learning_rate(step, 0.1, Steps((2, 4))) for step in range(1, 7)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert rates[4] == 0.1 * 0.1**2, "to the last bit what it always was"


def test_warmup_is_linear_and_ends_at_the_rate():
    assert [learning_rate(step, 0.4, Steps(()), 4) for step in (1, 2, 4, 5)] == pytest.approx(
        [0.1, 0.2, 0.4, 0.4]
    )


def test_published_milestones_scale_with_the_batch_and_own_ones_do_not():
    base = (100_000, 140_000, 160_000)
    assert milestones((), base, 512) == base
    assert milestones((), base, 128) == (400_000, 560_000, 640_000)
    assert milestones((10, 20), base, 128) == (10, 20)


def test_both_count_from_the_end_of_beta_freeze():
    assert milestones((10, 20), (1, 2), 512, delay=5) == (15, 25)
    assert milestones((), (100, 200), 512, delay=5) == (105, 205)


def test_cosine_is_half_a_period():
    rates = [learning_rate(step, 0.4, Cosine(0, 4)) for step in range(1, 6)]
    root = math.sqrt(0.5)
    assert rates == pytest.approx([0.4, 0.2 * (1 + root), 0.2, 0.2 * (1 - root), 0])


@pytest.mark.parametrize("power", [1.0, 2.0, 0.5])
def test_poly_is_a_power_of_what_is_left(power):
    rates = [learning_rate(step, 0.4, Poly(0, 4, power)) for step in range(1, 6)]
    assert rates == pytest.approx([0.4 * left**power for left in (1, 0.75, 0.5, 0.25, 0)])


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_warmup_comes_before_each(name):
    """The rate climbs to --lr, is --lr in the next step too, never rises after, ends above 0."""
    config = TrainConfig(lr_schedule=name, lr_warmup=3, max_steps=9)
    schedule = make_schedule(config, (6, 8), 9)
    rates = [learning_rate(step, 0.6, schedule, config.lr_warmup) for step in range(1, 10)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.6])
    assert all(later <= rate for rate, later in zip(rates[3:], rates[4:], strict=False))
    assert 0 < rates[-1] < 0.1


def test_options_arrive():
    config = TrainConfig(lr_schedule="poly", lr_power=3.0, lr_warmup=2, end_epoch=4)
    assert make_schedule(config, (), 80) == Poly(2, 80, 3.0)
    assert make_schedule(TrainConfig(), (7,), math.inf) == Steps((7,))


@pytest.mark.parametrize(
    ("options", "last_step", "message"),
    [
        ({"lr_schedule": "cosin"}, 9, r"--lr-schedule 'cosin': unknown .*did you mean cosine\?"),
        ({"lr_schedule": "cosine"}, math.inf, r"cosine: falls to 0 .* give --max-steps$"),
        ({"lr_schedule": "poly"}, 1e7, "poly: falls to 0 .* give --max-steps or --end-epoch"),
        ({"lr_schedule": "cosine", "max_steps": 9, "lr_steps": (5,)}, 9,
         "--lr-steps 5: --lr-schedule cosine does not use it"),
        ({"lr_power": 3.0}, 9, r"--lr-power 3\.0: --lr-schedule step does not use it"),
        ({"lr_schedule": "poly", "max_steps": 9, "lr_warmup": 9}, 9,
         "--lr-warmup 9: must be below the last step, 9"),
        ({"lr_schedule": "cosine", "lr_power": 3.0}, math.inf, r"(?s)--lr-power.*\n.*--max-steps"),
    ],
)  # fmt: skip
def test_refused(options, last_step, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(TrainConfig(**options), (), last_step)

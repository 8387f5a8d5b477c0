"""The learning rate at and around its milestones."""

from arcface_mxnet.training.schedule import learning_rate, milestones
import pytest


def test_drops_after_each_milestone():
    rates = [learning_rate(step, 0.1, (2, 4)) for step in range(1, 7)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_warmup_is_linear_and_ends_at_the_rate():
    assert [learning_rate(step, 0.4, (), warmup=4) for step in (1, 2, 4, 5)] == pytest.approx(
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

"""arcface-train: optimizer, schedule and length.  updates.py beside rows/ has them in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.end_to_end.rows.train import PRETRAINED, TRAIN
from tests.end_to_end.rows.train_losses import MULTIPLIED, SPHERE, learns_otherwise

ADAMW = ("--optimizer", "adamw", "--adam-epsilon", "0.01", "--lr", "0.01")
POLY = ("--lr-schedule", "poly", "--max-steps", "4")

for flag, value, on in [
    ("--optimizer", "adamw", ("--adam-epsilon", "1e-8", "--lr", "0.01")),
    ("--lr-schedule", "cosine", ()),
    ("--lr-schedule", "poly", ()),
    ("--lr", "0.2", ()),
    ("--lr-warmup", "4", ()),
    ("--lr-steps", "1,2", ()),
    ("--lr-steps", "1", ("--lr-warmup", "3")),
    ("--lr-power", "3", POLY),
    ("--wd", "0.5", ()),
    ("--mom", "0.2", ()),
    ("--adam-beta1", "0.2", ADAMW),
    ("--adam-beta2", "0.9", ADAMW),
    ("--adam-epsilon", "0.5", ADAMW),
]:
    TRAIN.row(flag, value=value, on=on)(learns_otherwise)


@TRAIN.row("--apply-mult", value="1", on=("--wd", "0.05", "--fc7-lr-mult", "4"))
def honours_multipliers(base, given):
    learns_otherwise(base, given)
    moved = [run.steps[0].moved("fc7_weight") for run in (base, given)]
    np.testing.assert_allclose(moved[1], 4 * moved[0], rtol=1e-3, atol=1e-8)


@TRAIN.row("--apply-mult", value="0", on=(*MULTIPLIED, "--pretrained", PRETRAINED))
def spares_biases_only_when_honoured(base, given):
    """base: 1, and what is neither a weight nor a gamma does not decay; given: as published."""
    start = given.steps[0].before["bn0_beta"]
    more = given.steps[0].moved("bn0_beta") - base.steps[0].moved("bn0_beta")
    np.testing.assert_allclose(more, -0.05 * 0.05 * start, rtol=1e-3, atol=1e-7)
    assert np.abs(start).max() > 1e-3


def norm(step):
    return float(np.sqrt(sum((step.moved(name) ** 2).sum() for name in step.before)))


@TRAIN.row("--grad-clip", value="0.05", on=("--mom", "0", "--wd", "0", "--accumulate", "2"))
def bounds_the_norm_of_all(base, given):
    for free, clipped in zip(base.steps, given.steps, strict=True):
        assert norm(clipped) == pytest.approx(0.05 * 0.05, rel=1e-3)  # lr times the bound
        assert norm(free) > 4 * norm(clipped)
    name = "conv0_weight"  # the direction stays
    free, clipped = (run.steps[0].moved(name) for run in (base, given))
    factor = norm(given.steps[0]) / norm(base.steps[0])
    np.testing.assert_allclose(clipped, factor * free, rtol=1e-3, atol=1e-7)


@TRAIN.row("--per-batch-size", value="9")
def takes_so_many_images(base, given):
    learns_otherwise(base, given)
    assert [len(run.steps[0].shares[0].label) for run in (base, given)] == [12, 9]
    assert given.record["images_per_step"] == 9


@TRAIN.row("--accumulate", value="2")
def makes_one_update_of_several_batches(base, given):
    learns_otherwise(base, given)
    assert [len(step.shares) for run in (base, given) for step in run.steps] == 3 * [1] + 3 * [2]
    assert given.record["images_per_step"] == 24
    halved = [drop // 2 for drop in base.record["learning_rate_drops"]]
    assert given.record["learning_rate_drops"] == halved  # after as many images


@TRAIN.row("--end-epoch", value="1", on=("--max-steps", "5"))
def ends_with_the_epoch(base, given):
    assert [len(run.steps) for run in (base, given)] == [5, 3]  # 36 images, 12 a step
    assert given.out.startswith("3 steps;")


@TRAIN.row("--max-steps", value="2")
def ends_after_so_many_steps(base, given):
    assert [len(run.steps) for run in (base, given)] == [3, 2]
    assert given.out.startswith("2 steps;")


@TRAIN.row("--lr-steps", value="1,2", on=(*SPHERE, "--beta-freeze", "1"))
def counts_from_the_end_of_the_rest(base, given):
    learns_otherwise(base, given)
    assert given.record["learning_rate_drops"] == [2, 3]
    published = [int(step * 512 / 12) + 1 for step in (100_000, 140_000, 160_000)]
    assert base.record["learning_rate_drops"] == published

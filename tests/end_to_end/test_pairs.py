"""Losses, optimizers, schedules, devices and ways to go on, each with each at least once."""

from itertools import combinations, product

from arcface_mxnet.training.optimizer import OPTIMIZERS
from arcface_mxnet.training.schedule import SCHEDULES
import pytest

from tests.end_to_end.commands import stopping_after, train
from tests.end_to_end.covering import pairwise
from tests.end_to_end.every_loss import KEYS, TINY, command
from tests.end_to_end.formulas import LOGITS
from tests.end_to_end.results import assert_outputs
from tests.end_to_end.updates import assert_updates

STEPS = 3
CHOICES = {
    "loss": KEYS,
    "optimizer": OPTIMIZERS.names(),
    "schedule": SCHEDULES.names(),
    "accumulate": (1, 2),
    "devices": (1, 2),
    "lr_warmup": (0, 2),
    "apply_mult": (0, 1),
    "stopped_after": (0, 1, 2),
}
# A drop inside the warm-up counts too: the rate is what the schedule says, and grows beside it.
SCHEDULED = {"step": ("--lr-steps", "1,2"), "poly": ("--lr-power", "1.5")}
OPTIMIZED = {"sgd": ("--mom", "0.8"), "adamw": ("--adam-epsilon", "0.01", "--adam-beta1", "0.7")}
CLASSIFIED = ("--fc7-lr-mult", "3", "--fc7-wd-mult", "20", "--wd", "0.01")
SETTINGS = pairwise(CHOICES)


def name_of(setting):
    return "-".join(map(str, setting.values()))


def test_every_two_values_meet():
    for one, other in combinations(CHOICES, 2):
        found = {(setting[one], setting[other]) for setting in SETTINGS}
        assert found == set(product(CHOICES[one], CHOICES[other]))
    assert len(SETTINGS) < 3.5 * len(KEYS)


@pytest.mark.parametrize("setting", SETTINGS, ids=name_of)
def test_together(setting, faces, new_prefix):
    loss, after = setting["loss"], setting["stopped_after"]
    options = [
        *("--optimizer", setting["optimizer"], *OPTIMIZED.get(setting["optimizer"], ())),
        *("--lr-schedule", setting["schedule"], *SCHEDULED.get(setting["schedule"], ())),
        *("--accumulate", setting["accumulate"], "--lr-warmup", setting["lr_warmup"]),
        *("--apply-mult", setting["apply_mult"]),
        *(CLASSIFIED if loss in LOGITS else ()),
    ]
    options += ["--lr", "0.02", "--max-steps", STEPS]
    argv = command(loss, faces, new_prefix(), *options, network=TINY)
    if after:
        with stopping_after(after):
            first = train(argv, setting["devices"])
        assert (first.code, len(first.steps)) == (130, after)
        assert f"SIGTERM: saved at step {after}; go on with --resume" in first.out
        argv.append("--resume")
    run = train(argv, setting["devices"])
    assert run.code == 0, run.said
    if after:
        run.steps[:0] = first.steps
    assert len(run.steps) == STEPS
    assert_outputs(run)
    assert_updates(run)

"""arcface-train: the options of the losses.  tests/end_to_end/formulas.py says what they do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.end_to_end.every_loss import ANNEALED
from tests.end_to_end.results import assert_outputs
from tests.end_to_end.rows.train import TRAIN
from tests.end_to_end.updates import assert_updates


def learns_otherwise(base, given):
    """Assert that both runs follow the formulas with their options, and that they differ."""
    for run in (base, given):
        assert run.code == 0, run.said
        assert_outputs(run)
        assert_updates(run)
    assert not np.allclose(base.saved()["fc1_beta"], given.saved()["fc1_beta"], rtol=1e-3)


def loss(name, *more):
    return ("--loss-type", name, *more)


# What a loss does not read must be at its default.
SPHERE = loss("1", *ANNEALED, "--margin-s", "64")
COMBINED = loss("5", "--margin-a", "0.9", "--margin-m", "0.4", "--margin-b", "0.15")
MAG = loss("magface", "--mag-min-length", "1", "--mag-max-length", "5")
SOFTMAX = loss("0", "--margin-s", "64")
TRIPLET = loss("12", "--margin-s", "64", "--rand-mirror", "0")

for flag, value, on in [
    ("--margin-s", "16", ()),
    ("--margin-m", "0.2", ()),
    ("--margin-a", "1.1", COMBINED),
    ("--margin-b", "0.3", COMBINED),
    ("--margin-b", "3", loss("6", "--margin-b", "0.5")),
    ("--easy-margin", "1", ()),
    ("--margin-warmup", "4", ()),
    ("--margin", "3", SPHERE),
    ("--beta", "40", SPHERE),
    ("--beta-min", "12", SPHERE),
    ("--beta-freeze", "1", SPHERE),
    ("--gamma", "0.3", SPHERE),
    ("--power", "0.4", SPHERE),
    ("--incay", "5", SOFTMAX),
    ("--center-alpha", "0.9", loss("8", "--margin-s", "64", "--center-scale", "1")),
    ("--center-scale", "1", loss("8", "--margin-s", "64")),
    ("--adaface-h", "2", loss("adaface", "--running-decay", "0.2")),
    ("--running-decay", "0.2", loss("adaface", "--adaface-h", "2")),
    ("--running-decay", "0.2", loss("curricularface")),
    ("--mag-min-length", "2", MAG),
    ("--mag-max-length", "9", MAG),
    ("--mag-min-margin", "0.2", MAG),
    ("--mag-max-margin", "1.2", MAG),
    ("--mag-weight", "80", MAG),
    ("--triplet-alpha", "0.6", TRIPLET),
]:
    TRAIN.row(flag, value=value, on=on)(learns_otherwise)


@TRAIN.row("--subcenters", value="2", on=loss("subcenter-arcface"))
def has_so_many_centres(base, given):
    learns_otherwise(base, given)
    assert [len(run.saved()["fc7_weight"]) for run in (base, given)] == [24, 16]


@TRAIN.row("--ce-loss")
def reports_the_cross_entropy(base, given):
    assert_outputs(given)  # compares the value
    assert not base.values("ce_loss") and sorted(given.values("ce_loss")) == [1, 2, 3]


@TRAIN.row("--fc7-no-bias", on=SOFTMAX)
def has_no_bias(base, given):
    learns_otherwise(base, given)
    assert "fc7_bias" in base.saved() and "fc7_bias" not in given.saved()


def lines(run, pattern):
    return [text for text in run.log if re.search(pattern, text)]


@TRAIN.row("--margin-verbose", value="2", on=("--max-steps", "6"))
def tells_the_angles(base, given):
    """Of every second step, the last one too."""
    found = lines(given, "target angle")
    assert not lines(base, "target angle")
    for line, step in zip(found, given.steps[1::2], strict=True):
        p = step.shares[0].outputs["target_cosine"]
        angle = float(re.search(r"target angle ([\d.]+)", line).group(1))
        assert angle == pytest.approx(np.degrees(np.arccos(p)).mean(), abs=0.006)


@TRAIN.row("--logits-verbose", value="2", on=("--max-steps", "6"))
def tells_the_tenths(base, given):
    found = lines(given, "target probability: lowest tenth")
    assert not lines(base, "target probability")
    for line, step in zip(found, given.steps[1::2], strict=True):
        share = step.shares[0]
        own = share.outputs["softmax"][np.arange(12), share.label]
        low, high = map(float, re.findall(r"tenth ([\d.]+)", line))
        assert low == pytest.approx(own.min(), abs=1e-4)
        assert high == pytest.approx(own.max(), abs=1e-4)


MULTIPLIED = ("--apply-mult", "1", "--wd", "0.05")


@TRAIN.row("--fc7-wd-mult", value="10", on=MULTIPLIED)
def decays_the_classifier_more(base, given):
    learns_otherwise(base, given)
    start = given.steps[0].before["fc7_weight"]
    more = given.steps[0].moved("fc7_weight") - base.steps[0].moved("fc7_weight")
    np.testing.assert_allclose(more, -0.05 * 0.05 * 9 * start, rtol=1e-3, atol=1e-8)


@TRAIN.row("--fc7-lr-mult", value="4", on=MULTIPLIED)
def moves_the_classifier_more(base, given):
    learns_otherwise(base, given)
    moved = [run.steps[0].moved("fc7_weight") for run in (base, given)]
    np.testing.assert_allclose(moved[1], 4 * moved[0], rtol=1e-3, atol=1e-8)

"""Faces that were not found: counted by hand on eight pairs."""

from arcface_mxnet.eval.evaluation import evaluate
from arcface_mxnet.eval.failures import (
    error_rates,
    failures_json,
    failures_of,
    scores_to_compare,
)
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
import numpy as np
import pytest

#                genuine, then impostor
COSINES = np.array([0.9, 0.7, 0.2, 0.8, 0.6, 0.1, 0.3, 0.9])
FLAGS = np.array([True] * 4 + [False] * 4)
FAILED = ["", "", "", "left", "", "", "right", "both"]


def failures(mode="count", failed=FAILED):
    return failures_of({"failed": failed}, FLAGS, mode, "lfw.bin")


def test_rates_by_hand():
    found = error_rates(failures(), COSINES, 0.5)
    # Compared: 3 genuine, of which 2 pass, and 2 impostors, of which 1 passes.
    assert (found.fmr, found.fnmr) == (1 / 2, pytest.approx(1 / 3))
    # Enrolled: the same genuine ones; one impostor more, whose probe failed.
    assert (found.far, found.frr) == (1 / 3, pytest.approx(1 / 3))
    assert (found.gfar, found.gfrr, found.gar) == (1 / 4, 1 / 2, 1 / 2)
    assert (failures().fte, failures().fta) == (2 / 8, 2 / 8)


def test_the_compared_pairs_alone_give_the_same():
    given = failures("skip")
    assert error_rates(given, COSINES[given.compared], 0.5) == error_rates(given, COSINES, 0.5)


def test_without_failures_all_terms_are_one():
    found = error_rates(failures(failed=[""] * 8), COSINES, 0.65)
    assert found.fmr == found.far == found.gfar == 0.25
    assert found.fnmr == found.frr == found.gfrr == 0.25


def test_plain_types_for_json():
    assert failures_json(None, ()) == {}
    figures = failures_json(failures(), [error_rates(failures(), COSINES, 0.5)])["failures"]
    assert (figures["mode"], figures["pairs_with_a_failure"], figures["fte"]) == ("count", 3, 0.25)
    assert figures["error_rates"][0]["gar"] == 0.5


@pytest.mark.parametrize(
    ("columns", "mode", "message"),
    [
        ({}, "skip", "lfw.bin does not tell where no face was found"),
        ({"failed": ["yes"] * 8}, "count", "column 'failed' holds 'yes'; known are left"),
        ({"failed": ["left"] * 4 + [""] * 4}, "skip", "no genuine pair of lfw.bin has both faces"),
        ({}, "drop", "--failures 'drop': known are crop, skip, count"),
    ],
)
def test_what_cannot_be_counted(columns, mode, message):
    with pytest.raises(ValueError, match=message):
        failures_of(columns, FLAGS, mode, "lfw.bin")


def test_published_figures_know_nothing_of_failures():
    assert failures_of({"failed": FAILED}, FLAGS, "crop", "lfw.bin") is None


def embeddings():
    """Twenty pairs whose cosine is 1 where they are genuine, 0 where not."""
    flags = np.arange(20) % 2 == 0
    left = np.eye(2)[np.zeros(20, int)]
    right = np.where(flags[:, None], left, np.eye(2)[np.ones(20, int)])
    both = np.stack([left, right], axis=1).reshape(40, 2).astype(np.float32)
    return PairEmbeddings(both, both, flags)


def test_counted_failures_are_rejected_wherever_rates_are_made():
    given = embeddings()
    failed = ["right" if pair in (0, 1, 4) else "" for pair in range(20)]  # 2 genuine, 1 impostor
    counted = failures_of({"failed": failed}, given.is_genuine, "count", "a")
    result = evaluate("a", given, folds=1, failures=counted)
    assert evaluate("a", given, folds=1).published.accuracy == 1
    assert result.published.accuracy == 0.9  # two genuine ones are wrong, the impostor is right
    assert result.rates[0].point.tar == 0.8
    assert result.error_rates[0].gfrr == pytest.approx(0.2)
    assert result.error_rates[0].fnmr == 0
    assert (~result.is_right).nonzero()[0].tolist() == [0, 4]


def test_left_out_failures_leave_no_trace_in_the_match_rates():
    given = embeddings()
    failed = ["right" if pair in (0, 1, 4) else "" for pair in range(20)]
    skipped = failures_of({"failed": failed}, given.is_genuine, "skip", "a")
    names = [f"p{image // 4}" for image in range(40)]
    result = evaluate("a", given, folds=1, failures=skipped, identities=names)
    assert len(result.cosines) == 17 and result.published.accuracy == 1
    assert result.rates[0].point is None  # 9 impostors are left, a FAR of 0.1 needs 10
    assert result.error_rates == ()


def test_scores_of_any_unit_are_left_out_or_lie_below_all_others():
    scores = np.array([-40.0, 3.0, 7.0, 0.5, 1.0, 2.0, 8.0, 9.0])
    assert scores_to_compare(scores, None) is scores
    assert scores_to_compare(scores, failures("skip")).tolist() == [-40, 3, 7, 1, 2]
    counted = scores_to_compare(scores, failures())
    assert counted[failures().compared].tolist() == [-40, 3, 7, 1, 2]
    assert counted[~failures().compared].max() < -40


def test_a_failure_lies_below_scores_of_any_size():
    scores = np.full(8, -1e20)
    counted = scores_to_compare(scores, failures())
    assert counted[~failures().compared].max() < -1e20

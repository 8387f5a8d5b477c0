"""Comparisons by hand on ten scores, McNemar by its numbers, intervals by how often they hold."""

from dataclasses import replace
from math import comb

from arcface_mxnet.eval.comparison import (
    check_same_pairs,
    difference,
    figures_of,
    mcnemar,
    rates_by_group,
)
from arcface_mxnet.eval.scored_pairs import ScoredPairs
import numpy as np
import pytest

FACTS = {"model": "a", "model_sha256": "1", "engine": "e", "dtype": "float32", "flip": "sum",
         "target": "lfw", "pack_sha256": "2", "failures": "crop"}  # fmt: skip
FLAGS = np.array([True] * 5 + [False] * 5)
FIRST = np.array([0.9, 0.8, 0.7, 0.6, 0.1, 0.5, 0.4, 0.3, 0.2, 0.0])
SECOND = np.array([0.9, 0.8, 0.7, 0.4, 0.1, 0.5, 0.3, 0.2, 0.1, 0.0])
NOBODY = np.array([], str)


def scored(cosines, flags=FLAGS, threshold=0.45, left=NOBODY, right=NOBODY, **more):
    is_right = (cosines >= threshold) == flags
    return ScoredPairs(FACTS, cosines, flags, is_right, left, right, **more)


def rng():
    return np.random.default_rng(0)


def test_differences_by_hand():
    found = difference(scored(FIRST), scored(SECOND), [0.2, 0.01], rng())
    assert found.accuracy.value == pytest.approx(0.8 - 0.7)  # 8 and 7 of 10 are right
    # One of five impostors may pass, 0.5: then 4 and, as 0.4 lies above 0.3, also 4 genuine ones.
    assert found.tar[0.2].value == 0
    assert found.tar[0.01] is None  # needs 100 impostors
    assert (found.mcnemar.only_first, found.mcnemar.only_second) == (1, 0)
    assert found.resampled == "pairs"


def test_figures_by_hand():
    found = figures_of(scored(FIRST), [0.2, 0.01])
    assert (found.accuracy.value, found.rates[0].point.tar) == (0.8, 0.8)
    assert found.accuracy.low < 0.8 < found.accuracy.high
    assert (found.rates[1].point, found.rates[1].impostors_needed) == (None, 100)


def test_a_model_differs_in_nothing_from_itself():
    people = np.array([f"p{pair % 4}" for pair in range(10)])
    for names in (NOBODY, people):
        one = scored(FIRST, left=names, right=names)
        found = difference(one, one, [0.2], rng(), 200)
        assert found.resampled == "pairs"  # four people are too few
        for estimate in (found.accuracy, found.tar[0.2]):
            assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)
        assert found.mcnemar.p == 1 and found.mcnemar.only_first == 0


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 1), (8, 2), (5, 5), (0, 6), (30, 11)])
def test_mcnemar_is_the_binomial(only_first, only_second):
    first = np.array([True] * (only_first + 40) + [False] * (only_second + 7))
    second = np.array([False] * only_first + [True] * (40 + only_second) + [False] * 7)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    total, least = only_first + only_second, min(only_first, only_second)
    tail = sum(comb(total, k) for k in range(least + 1)) / 2**total
    assert found.p == pytest.approx(min(1, 2 * tail))


def test_mcnemar_of_a_textbook():
    # 8 against 2 of 10 that differ: 2 (1 + 10 + 45) / 1024.
    first = np.array([True] * 8 + [False] * 2)
    assert mcnemar(first, ~first).p == pytest.approx(112 / 1024)


def test_intervals_of_differences_hold_the_truth_as_often_as_they_say():
    """People are easy or hard for both models, and pairs of one person go wrong together."""
    draw = np.random.default_rng(1)
    names = np.array([f"p{pair // 10}" for pair in range(600)])
    flags = np.ones(600, bool)
    held, widths = [], []
    for trial in range(120):
        luck = draw.normal(size=60).repeat(10)
        ours, theirs = draw.normal(scale=0.7, size=(2, 60)).repeat(10, axis=1)
        right = [(luck + own + draw.normal(size=600)) > -1.2 for own in (ours, theirs)]
        one, other = (
            ScoredPairs(FACTS, np.zeros(600), flags, part, names, names) for part in right
        )
        found = difference(one, other, [], np.random.default_rng(trial), 200).accuracy
        held.append(found.low <= 0 <= found.high)  # both are equally good
        widths.append(found.high - found.low)
    assert 0.88 <= np.mean(held) <= 0.99
    blind = [replace(part, left=NOBODY, right=NOBODY) for part in (one, other)]
    narrow = difference(*blind, [], np.random.default_rng(0), 200).accuracy
    assert narrow.high - narrow.low < 0.8 * np.mean(widths)  # pairs alone know nothing of people


def test_both_models_get_the_same_people():
    """The second is the first with 0.1 less: no draw can tell them apart."""
    people = np.array([f"p{pair % 3}" for pair in range(10)])
    one = scored(FIRST, left=people, right=people)
    other = replace(one, cosines=FIRST - 0.1)
    found = difference(one, other, [0.2], rng(), 300).tar[0.2]
    assert (found.low, found.high) == (0, 0)


def test_the_same_seed_gives_the_same_intervals():
    names = np.array([f"p{pair}" for pair in range(10)])
    one, other = (scored(scores, left=names, right=names) for scores in (FIRST, SECOND))
    runs = [difference(one, other, [0.2], np.random.default_rng(seed), 100) for seed in (3, 3, 4)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facts": FACTS | {"pack_sha256": "9"}}, "different pair sets: 2 and 9; verify both"),
        ({"facts": FACTS | {"failures": "skip"}}, "different --failures: crop and skip"),
        ({"is_genuine": ~FLAGS}, "the pairs of lfw are not the same"),
    ],
)
def test_other_pairs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_same_pairs(scored(FIRST), replace(scored(FIRST), **change))


def test_groups_by_hand():
    ages = np.array(["30", "30", "60", "60", "60", "30", "30", "60", "", ""])
    given = scored(FIRST, columns={"age": ages}, path="a.npz")
    none, young, old = rates_by_group(given, "age", 0.2)
    # The threshold for all: one impostor of five, so 0.5.
    assert [one.group for one in (none, young, old)] == ["(none)", "30", "60"]
    assert (young.num_genuine, young.num_impostor, young.fnmr.value, young.fmr.value) == (
        2,
        2,
        0,
        0.5,
    )
    assert (old.fnmr.value, old.fmr.value) == (pytest.approx(1 / 3), 0)
    assert (none.num_genuine, none.fnmr, none.fmr.value) == (0, None, 0)
    assert young.fmr.low < 0.5 < young.fmr.high
    with pytest.raises(ValueError, match="--group sex: a.npz has no such column .* there: age"):
        rates_by_group(given, "sex", 0.2)

"""Figures worked out by hand on a handful of distances."""

from arcface_mxnet.eval.scores import OperatingPoint, impostors_needed
from arcface_mxnet.megaface import measures
from arcface_mxnet.megaface.pairs import GenuinePairs
from arcface_mxnet.megaface.search import IdentificationResult, identify
import numpy as np
import pytest


@pytest.fixture
def result():
    """Two people, two images each, on a line: genuine distances 0.25 and 4, four distractors.

    Probes at 1, 1.5 (a) and 10, 12 (b); distractors at 1.375, 9, 13, 14.
    """
    line = lambda *x: np.array(x, np.float32)[:, None]  # noqa: E731
    return identify(line(1, 1.5, 10, 12), list("aabb"), line(1.375, 9, 13, 14))[0]


def test_ranks_by_hand(result):
    assert result.closer.tolist() == [1, 1, 1, 1]  # 1.375; 1.375; 9; 13 are closer
    assert result.equal.tolist() == [0, 0, 0, 1]  # 14 is as far from 12 as 10 is
    assert measures.rank_rates(result, (1, 2, 5, 100)) == {1: 0, 2: 1, 5: 1}
    rank, recall = measures.cmc(np.array([0, 3, 3, 7]))
    assert (rank.tolist(), recall.tolist()) == ([0, 3, 7], [0.25, 0.75, 1])
    rank, recall = measures.cmc(np.array([3, 3]))
    assert (rank.tolist(), recall.tolist()) == ([0, 3], [0, 1])


def test_roc_by_hand(result):
    fpr, tpr, distance = measures.roc(result)
    assert (distance[0], tpr[0], fpr[0]) == (0.25, 0.5, 2 / 16)
    assert (distance[-1], tpr[-1], fpr[-1]) == (4, 1, 5 / 16)


def test_operating_points(result):
    found = measures.operating_point(result, 0.2)
    assert (found.point.far, found.point.tar) == (2 / 16, 0.5) and found.exact
    assert found.point.threshold == 1 - found.distance / 2
    none = measures.operating_point(result, 0.1)  # 1 of 16, and the nearest pair lets 2 in
    assert none.point == OperatingPoint(np.inf, far=0, tar=0) and none.exact
    assert none.distance is None


@pytest.mark.parametrize(("allowed", "is_given"), [(1 / 16, True), (0.0624, False), (1e-8, False)])
def test_a_rate_that_the_negatives_cannot_support_is_refused(result, allowed, is_given):
    found = measures.operating_point(result, allowed)  # of 16 negatives
    assert (found.point is not None) == is_given
    assert found.negatives_needed == impostors_needed(allowed)
    assert is_given or found.distance is None


def test_operating_point_takes_the_largest_rate_within_the_limit():
    pairs = GenuinePairs(*(np.zeros(0),) * 2, np.array([0.1, 0.2, 0.3, 0.4]), *(np.zeros(0),) * 2)
    nothing = np.zeros(0)
    one = IdentificationResult(1000, pairs, nothing, nothing, nothing, np.zeros(1000),
                               pairs.distance, np.array([0, 1, 1, 5]), 4, 0.1)  # fmt: skip
    found = measures.operating_point(one, 1e-6)
    assert (found.point.tar, found.point.far) == (0.75, 1e-6)
    assert (found.distance, found.exact) == (0.3, True)
    assert measures.operating_point(one, 9e-7).point is None  # a million negatives
    few = IdentificationResult(1000, pairs, nothing, nothing, nothing, np.zeros(1000),
                               pairs.distance, np.array([0, 2, 2, 5]), 4, 0.1)  # fmt: skip
    assert measures.operating_point(few, 1e-6).point.tar == 0.25


@pytest.mark.parametrize(
    "allowed, num_exact, exact",
    [(1e-3, 2, True), (5e-3, 3, True), (5e-3, 2, False), (0.2, 2, False), (0.9, 5, True)],
    ids=["within", "the next is counted", "the next is not", "on the grid", "all are counted"],
)
def test_a_point_is_exact_only_if_no_threshold_was_skipped(allowed, num_exact, exact):
    # 10 million negatives: 10,000 false accepts (1e-3) are counted by genuine distance.
    pairs = GenuinePairs(*(np.zeros(0),) * 2, np.arange(1.0, 9), *(np.zeros(0),) * 2)
    nothing = np.zeros(0)
    accepts = np.array([1, 10_000, 60_000, 1_000_000, 5_000_000])
    limits = np.array([1.0, 2, 3, 5, 8])
    one = IdentificationResult(10_000, pairs, nothing, nothing, nothing, np.zeros(1000),
                               limits, accepts, num_exact, 1.0)  # fmt: skip
    assert measures.operating_point(one, allowed).exact == exact


def test_decimation_keeps_first_last_and_every_rise():
    x, y = np.arange(6), np.array([0.5, 0.505, 0.51, 0.515, 0.9, 0.901])
    assert measures.decimate(x, y) == ([0, 2, 4, 5], [0.5, 0.51, 0.9, 0.901])
    assert measures.decimate(x[:1], y[:1]) == ([0], [0.5])


def test_interval_is_over_people_and_seeded():
    person = np.repeat(np.arange(10), 4)
    probe = np.arange(40)
    pairs = GenuinePairs(probe, probe, np.zeros(40), np.arange(41), person)
    hit = person < 5  # half of the people are always found
    low, high = measures.person_interval(pairs, hit)
    assert low == measures.person_interval(pairs, hit)[0]
    assert 0.15 <= low <= 0.25 and 0.75 <= high <= 0.85  # binomial of 10, not of 40
    assert measures.person_interval(pairs, np.ones(40, bool)) == (1, 1)


def test_open_set_by_hand():
    # Probes at 0, 1 (one person); mates are 1 apart (distance 1); distractors at 3 and 1.5.
    line = lambda *x: np.array(x, np.float32)[:, None]  # noqa: E731
    probes, distractors = line(0.5, 1.5), line(3.5, 2)
    (result,) = identify(probes, ["a", "a"], distractors)
    # Nearest distractors: 1.5 away (2.25) and 0.5 away (0.25); mates 1.0: ranks 0 and 1.
    fpir, fnir, distance = measures.open_set(result)
    assert distance.tolist() == [0.25, 0.25, 2.25]
    assert fpir.tolist() == [0, 0.5, 1]
    assert fnir.tolist() == [1, 1, 0.5]
    assert measures.miss_rate_at(result, 0.6) == 1
    assert measures.miss_rate_at(result, 1) == 0.5
    assert measures.miss_rate_at(result, 0.4) is None  # of two probes


def test_traditional_gallery_holds_one_image_of_each_other_person():
    line = lambda *x: np.array(x, np.float32)[:, None]  # noqa: E731
    probes = line(1, 3, 2.5, 9)
    names = ["a/2", "a/1", "b/2", "b/1"]  # b's image by name is at 9
    (result,) = identify(probes, list("aabb"), line(100))
    assert measures.traditional_ranks(result, probes, names).tolist() == [0, 0, 1, 1]
    names = ["a/2", "a/1", "b/1", "b/2"]  # now at 2.5, between the images of a
    assert measures.traditional_ranks(result, probes, names).tolist() == [1, 1, 1, 1]
    curves = measures.kit_curves(result, probes, names)
    assert curves["cmc"] == [[0, 1], [1.0, 1.0]]
    assert curves["traditional_cmc"] == [[0, 1, 2], [0.0, 1.0, 1.0]]
    assert curves["roc"][0][0] == 0 and curves["roc"][1][0] == 1
    assert curves["roc"][0][-1] == 1 and curves["roc"][1][-1] == 1


def test_an_image_of_another_person_just_as_far_is_not_closer():
    line = lambda *x: np.array(x, np.float32)[:, None]  # noqa: E731
    probes, names = line(1, 3, -1, 9), ["a/1", "a/2", "b/1", "b/2"]
    (result,) = identify(probes, list("aabb"), line(100))
    assert measures.traditional_ranks(result, probes, names).tolist() == [0, 0, 1, 1]


def test_below_the_nearest_distractor_a_mate_just_as_far_is_missed():
    line = lambda *x: np.array(x, np.float32)[:, None]  # noqa: E731
    (result,) = identify(line(0.5, 1.5), ["a", "a"], line(-0.5))
    fpir, fnir, distance = measures.open_set(result)
    assert (fpir.tolist(), fnir.tolist()) == ([0, 0.5, 1], [1, 0, 0])
    assert distance.tolist() == [1, 1, 4]


def test_worst_probes_come_worst_first_and_only_beaten_ones(result):
    worst = measures.worst_probes(result)
    assert {one["probe"] for one in worst} == {0, 1, 2, 3}
    assert worst[0]["beaten"] == 1 and worst[0]["median_rank"] == 2
    found = next(one for one in worst if one["probe"] == 2)
    assert (found["distractor"], found["distractor_similarity"]) == (1, 0.5)
    (easy,) = identify(np.eye(4, dtype=np.float32)[[0, 0, 1, 1]], list("aabb"),
                       np.eye(4, dtype=np.float32)[2:])  # fmt: skip
    assert measures.worst_probes(easy) == []


def test_an_error_stands_beside_the_mate_that_lost_and_not_beside_the_nearest():
    line = lambda *x: np.array(x, np.float32)[:, None]  # noqa: E731
    (result,) = identify(line(1, 2, 6, 8), list("aaaa"), line(3.5, 50))
    (one,) = [one for one in measures.worst_probes(result) if one["probe"] == 0]
    # Of the mates at 2, 6 and 8 the distractor at 3.5 beats the last two.
    assert (one["mate"], one["mate_rank"], one["distractor"]) == (2, 2, 0)
    assert one["mate_similarity"] == 1 - 25 / 2 < one["distractor_similarity"] == 1 - 6.25 / 2
    assert one["beaten"] == pytest.approx(2 / 3)

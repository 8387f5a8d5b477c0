"""ROC and operating points: by hand, and against scikit-learn."""

from arcface_mxnet.eval.scores import (
    area_under_curve,
    best_accuracy,
    equal_error_rate,
    impostors_needed,
    is_supported,
    may_pass,
    roc,
    tar_at_far,
    tars_at_fars,
)
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

GENUINE = [0.9, 0.8, 0.5, 0.3]
IMPOSTOR = [0.6, 0.5, 0.2, 0.1, 0.0]


def reference(genuine, impostor):
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    return labels, np.r_[genuine, impostor]


def score_sets():
    rng = np.random.default_rng(0)
    yield "by hand", GENUINE, IMPOSTOR
    yield "many", rng.normal(0.5, 0.2, 500), rng.normal(0.0, 0.2, 700)
    yield "ties", rng.integers(3, 9, 200) / 10, rng.integers(0, 6, 300) / 10
    yield "constant", [0.5] * 4, [0.5] * 6
    yield "separated", [0.9, 0.8], [0.1, 0.2, 0.3]
    yield "upside down", [0.1, 0.2], [0.8, 0.9]
    yield "one each", [0.4], [0.4]


SCORE_SETS = {name: (genuine, impostor) for name, genuine, impostor in score_sets()}


@pytest.mark.parametrize("name", SCORE_SETS)
def test_roc_and_auc_are_those_of_scikit_learn(name):
    genuine, impostor = SCORE_SETS[name]
    labels, scores = reference(genuine, impostor)
    far, tar, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    curve = roc(genuine, impostor)
    np.testing.assert_allclose(curve.far, far, atol=1e-12)
    np.testing.assert_allclose(curve.tar, tar, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert area_under_curve(genuine, impostor) == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.parametrize("name", SCORE_SETS)
@pytest.mark.parametrize("far", [0.0, 0.2, 0.4, 0.5, 0.999, 1.0])
def test_operating_point_is_the_best_of_the_roc(name, far):
    genuine, impostor = SCORE_SETS[name]
    if 0 < far < 1 / len(impostor):
        with pytest.raises(ValueError, match="needs at least"):
            tar_at_far(genuine, impostor, far)
        return
    point = tar_at_far(genuine, impostor, far)
    curve = roc(genuine, impostor)
    assert point.tar == pytest.approx(curve.tar[curve.far <= far + 1e-12].max())
    assert point.far <= far + 1e-12
    assert point.tar == pytest.approx(np.mean(np.array(genuine) >= point.threshold))
    assert point.far == pytest.approx(np.mean(np.array(impostor) >= point.threshold))


def test_operating_points_by_hand():
    points = tars_at_fars(GENUINE, IMPOSTOR, [0.0, 0.2, 0.4, 0.6, 1.0])
    assert [point.tar for point in points] == pytest.approx([0.5, 0.5, 1.0, 1.0, 1.0])
    assert [point.far for point in points] == pytest.approx([0.0, 0.2, 0.4, 0.6, 1.0])
    assert [point.threshold for point in points] == [0.8, 0.6, 0.3, 0.2, 0.0]


def test_a_tie_with_the_refused_impostor_is_refused():
    # 0.5 is a genuine and an impostor score: accepting the first accepts the second.
    assert tar_at_far(GENUINE, IMPOSTOR, 0.2).tar == 0.5
    point = tar_at_far([0.7, 0.7], [0.7, 0.7], 0.5)
    assert (point.far, point.tar) == (0.0, 0.0)
    assert point.threshold > 0.7


def test_a_far_that_is_a_whole_number_of_impostors_is_used_up():
    assert 0.29 * 100 < 29  # in floating point
    assert tar_at_far([0.5], np.arange(100) / 100, 0.29).far == pytest.approx(0.29)


def test_a_far_the_impostors_cannot_support_is_refused():
    with pytest.raises(ValueError, match="FAR 0.1 needs at least 10 impostor pairs; there are 5"):
        tar_at_far(GENUINE, IMPOSTOR, 0.1)
    assert tar_at_far(GENUINE, np.arange(10) / 10, 0.1).far == pytest.approx(0.1)
    assert [impostors_needed(far) for far in (1e-1, 1e-3, 1e-6)] == [10, 1000, 1_000_000]
    assert impostors_needed(0) == 1
    assert [may_pass(0.1, count) for count in (9, 10, 30)] == [0, 1, 3]  # 0.1 * 30 is above 3
    for far in (0.1, 0.3, 1e-3, 1 / 7):
        needed = impostors_needed(far)
        assert is_supported(far, needed) and may_pass(far, needed) >= 1
        assert not is_supported(far, needed - 1) and may_pass(far, needed - 1) == 0


@pytest.mark.parametrize("far", [-0.1, 1.5])
def test_a_far_is_a_fraction(far):
    with pytest.raises(ValueError, match="must be a fraction from 0 to 1"):
        tar_at_far(GENUINE, IMPOSTOR, far)


def test_a_fraction_whose_reciprocal_is_no_number():
    assert impostors_needed(5e-324) > 10**299
    assert not is_supported(5e-324, 10**12)


def test_equal_error_rate_by_hand():
    # At 0.5: FAR 2/5, missed 1/4.  Just above: FAR 1/5, missed 2/4.  They cross in between.
    point = equal_error_rate(roc(GENUINE, IMPOSTOR))
    assert point.far == pytest.approx(1 - point.tar)
    assert point.far == pytest.approx(0.2 + 0.2 * (0.3 / 0.45))
    assert equal_error_rate(roc([0.9], [0.1])).far == 0.0
    assert equal_error_rate(roc([0.1], [0.9])).far == 1.0
    assert equal_error_rate(roc([0.5], [0.5])).far == 0.5


def test_best_accuracy_by_hand():
    # Threshold 0.8: 2 of 4 genuine and all 5 impostors right; 0.3: 4 and 3 right, but so lower.
    assert best_accuracy(GENUINE, IMPOSTOR) == (pytest.approx(7 / 9), 0.8)
    assert best_accuracy([0.9], [0.1]) == (1.0, 0.9)
    assert best_accuracy([0.1], [0.9, 0.8])[0] == pytest.approx(2 / 3)  # refuse everything


@pytest.mark.parametrize(
    ("genuine", "impostor", "message"),
    [
        ([], IMPOSTOR, "no genuine scores"),
        (GENUINE, [], "no impostor scores"),
        ([0.1, np.nan], IMPOSTOR, "genuine score 1 is nan"),
        (GENUINE, [np.inf], "impostor score 0 is inf"),
        ([[0.1]], IMPOSTOR, "shape"),
    ],
)
def test_bad_scores_are_refused(genuine, impostor, message):
    for measure in (roc, area_under_curve, best_accuracy, lambda g, i: tar_at_far(g, i, 0.5)):
        with pytest.raises(ValueError, match=message):
            measure(np.array(genuine), np.array(impostor))

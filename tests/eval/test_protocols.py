"""The k-fold protocol against a plain loop over folds and thresholds."""

from arcface_mxnet.embedding.vectors import cosines_of
from arcface_mxnet.eval.protocols import (
    COSINE_GRID,
    fold_numbers,
    unit_distances,
    verify_distances,
    verify_pairs,
)
import numpy as np
import pytest


def plain_loop(distances, is_genuine, folds):
    """The published protocol, written as it is told: (accuracies, thresholds, TARs, FARs)."""
    rows = np.arange(len(distances))
    tests = np.array_split(rows, folds)
    results = []
    for test in tests:
        train = rows if folds == 1 else np.setdiff1d(rows, test)
        best, best_threshold = -1, None
        for threshold in np.arange(0, 4, 0.01):
            right = np.mean((distances[train] < threshold) == is_genuine[train])
            if right > best:
                best, best_threshold = right, threshold
        accuracy = np.mean((distances[test] < best_threshold) == is_genuine[test])
        grid = np.arange(0, 4, 0.001)
        fars = [np.mean(distances[train][~is_genuine[train]] < t) for t in grid]
        at_far = np.interp(1e-3, fars, grid) if max(fars) >= 1e-3 else 0.0
        accepted = distances[test] < at_far
        results.append(
            (
                accuracy,
                best_threshold,
                accepted[is_genuine[test]].mean(),
                accepted[~is_genuine[test]].mean(),
            )
        )
    return np.array(results).T


def some_pairs(num_pairs=207, dimension=16, seed=0):
    rng = np.random.default_rng(seed)
    is_genuine = rng.random(num_pairs) < 0.5
    left = rng.normal(size=(num_pairs, dimension))
    near = left + rng.normal(scale=0.9, size=left.shape)
    right = np.where(is_genuine[:, None], near, rng.normal(size=left.shape))
    return left.astype(np.float32), (3 * right).astype(np.float32), is_genuine


@pytest.mark.parametrize("folds", [1, 2, 10])
def test_the_plain_loop_gives_the_same(folds):
    left, right, is_genuine = some_pairs()
    result = verify_pairs(left, right, is_genuine, folds=folds)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left, right)]
    distances = np.sum((unit[0] - unit[1]) ** 2, axis=1)
    accuracies, thresholds, tars, fars = plain_loop(distances, is_genuine, folds)
    assert 0.6 < result.accuracy < 1.0
    np.testing.assert_allclose([fold.accuracy for fold in result.per_fold], accuracies)
    np.testing.assert_allclose([fold.squared_l2 for fold in result.per_fold], thresholds)
    np.testing.assert_allclose([fold.tar for fold in result.per_fold], tars)
    np.testing.assert_allclose([fold.far for fold in result.per_fold], fars)
    assert result.accuracy == pytest.approx(accuracies.mean())
    assert result.std == pytest.approx(accuracies.std())  # population
    assert result.squared_l2 == pytest.approx(thresholds.mean())
    assert result.threshold == pytest.approx(1 - thresholds.mean() / 2)


def test_ten_distances_by_hand():
    # Two folds.  Fold 1 alone would choose 0.11 (first t above 0.1), fold 2 0.91.
    is_genuine = np.array([1, 1, 0, 0, 0, 1, 1, 1, 0, 0], bool)
    distances = np.array([0.05, 0.1, 0.5, 0.6, 0.7, 0.9, 0.2, 0.3, 1.0, 1.1])
    result = verify_distances(distances, is_genuine, folds=2)
    first, second = result.per_fold
    assert first.squared_l2 == pytest.approx(0.91)  # chosen on fold 2
    assert second.squared_l2 == pytest.approx(0.11)  # chosen on fold 1
    assert first.accuracy == pytest.approx(2 / 5)  # its three impostors are accepted
    assert second.accuracy == pytest.approx(2 / 5)  # its three genuine pairs are refused
    assert result.accuracy == pytest.approx(0.4)
    assert result.std == 0.0


def test_a_distance_equal_to_the_threshold_is_refused():
    # Both lie on grid points; < and not <= decides which threshold is first to accept 0.5.
    result = verify_distances(np.array([0.5, 1.0]), np.array([True, False]), folds=1)
    assert result.squared_l2 == pytest.approx(0.51)
    assert result.accuracy == 1.0


def test_a_far_that_is_never_reached_accepts_nothing():
    # Impostors as far as can be: beyond the last threshold, 3.999.
    distances = np.array([0.0, 0.1, 4.0, 4.0])
    (fold,) = verify_distances(distances, np.array([1, 1, 0, 0], bool), folds=1).per_fold
    assert (fold.tar, fold.far, fold.accuracy) == (0.0, 0.0, 1.0)


def test_folds_are_contiguous_and_the_first_are_longer():
    flags = np.tile([True, False], 12)[:23]
    assert np.bincount(fold_numbers(flags, 5)).tolist() == [5, 5, 5, 4, 4]
    assert (np.diff(fold_numbers(flags, 5)) >= 0).all()


def test_cosine_grid_asks_the_same_question():
    left, right, is_genuine = some_pairs()
    distances = unit_distances(left, right)
    published = verify_distances(distances, is_genuine)
    cosine = verify_distances(distances, is_genuine, grid=COSINE_GRID)
    assert abs(published.accuracy - cosine.accuracy) < 0.05
    for fold in cosine.per_fold:
        assert round(fold.threshold, 2) == pytest.approx(fold.threshold)


def test_distances_do_not_depend_on_length_or_chunks():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 9000, 4))
    distances = unit_distances(left, 5 * right)
    cosines = np.sum(left * right, axis=1)
    cosines /= np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    np.testing.assert_allclose(cosines_of(distances), cosines, atol=1e-12)
    assert unit_distances(np.zeros((1, 4)), np.ones((1, 4))) == 1.0  # a zero row stays zero


@pytest.mark.parametrize(
    ("flags", "folds", "message"),
    [
        ([True], 10, "1 pair.s. cannot be cut into 10 fold"),
        ([True], 1, "1 pair.s. cannot be cut into 1 fold"),
        ([True, False] * 4, 10, "8 pair.s. cannot be cut into 10 fold"),
        ([True] * 10 + [False] * 10, 2, r"fold 1 of 2 \(pairs 0 to 9\) has only genuine"),
        ([True, False] * 5 + [False] * 10, 2, r"fold 2 of 2 \(pairs 10 to 19\) has only impostor"),
        ([False] * 10, 1, "all 10 pairs are impostor: both"),
        ([True, False], 0, "0 folds"),
    ],
)
def test_pairs_that_cannot_be_judged(flags, folds, message):
    with pytest.raises(ValueError, match=message):
        verify_distances(np.linspace(0, 1, len(flags)), np.array(flags), folds=folds)


def test_bad_embeddings_are_refused():
    left, right, is_genuine = some_pairs(20)
    with pytest.raises(ValueError, match="both must be"):
        verify_pairs(left[:-1], right, is_genuine)
    with pytest.raises(ValueError, match="20 distances but 19 genuine flags"):
        verify_pairs(left, right, is_genuine[:-1])
    right[7, 3] = np.nan
    with pytest.raises(ValueError, match="pair 7 hold a value that is not finite"):
        verify_pairs(left, right, is_genuine)

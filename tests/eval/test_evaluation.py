"""The evaluation of a pair set and its intervals."""

from arcface_mxnet.eval.evaluation import (
    WeightedTar,
    evaluate,
    flip_embedding,
    rates_at_fars,
    shared_identities,
)
from arcface_mxnet.eval.intervals import People, bootstraps, identity_bootstrap, wilson
from arcface_mxnet.eval.pair_embeddings import PairEmbeddings
from arcface_mxnet.eval.protocols import verify_pairs
from arcface_mxnet.eval.scores import tar_at_far
import numpy as np
import pytest


def embeddings(num_pairs=200, noise=1.2):
    rng = np.random.default_rng(0)
    flags = np.arange(num_pairs) % 2 == 0
    left = rng.normal(size=(num_pairs, 8))
    right = np.where(flags[:, None], left, rng.normal(size=left.shape))
    both = np.empty((2 * num_pairs, 8))
    both[0::2], both[1::2] = left, right
    plain, flipped = (both + rng.normal(scale=noise, size=both.shape) for _ in range(2))
    return PairEmbeddings(plain.astype(np.float32), flipped.astype(np.float32), flags)


def test_the_four_evaluations():
    given = embeddings()
    result = evaluate("lfw", given)
    both = given.plain + given.flipped
    assert result.published == verify_pairs(both[0::2], both[1::2], given.is_genuine)
    plain = verify_pairs(given.plain[0::2], given.plain[1::2], given.is_genuine)
    assert result.protocol["UnFlipL2"] == plain
    assert list(result.protocol) == ["FlipL2", "FlipCos", "UnFlipL2", "UnFlipCos"]
    assert result.published.accuracy > plain.accuracy  # two noisy views are better than one
    assert abs(result.protocol["FlipCos"].accuracy - result.published.accuracy) < 0.03
    low, high = result.accuracy_interval
    assert low < result.published.accuracy < high


def test_joined_embeddings_mean_the_two_cosines():
    given = embeddings()
    joined = flip_embedding(given, "concat")
    assert joined.shape == (400, 16)
    np.testing.assert_array_equal(flip_embedding(given, "sum"), given.plain + given.flipped)
    with pytest.raises(ValueError, match="flip mode 'mean': known are sum, concat"):
        flip_embedding(given, "mean")
    assert evaluate("lfw", given, flip_mode="concat").auc != evaluate("lfw", given).auc


@pytest.mark.parametrize("part", ["plain", "flip"])
def test_a_vector_without_direction_is_refused(part):
    given = embeddings()
    given.flipped[7] = -given.plain[7]
    if part == "plain":
        given.plain[7] = 0
    with pytest.raises(ValueError, match="an embedding of pair 3 holds nothing but zeros"):
        evaluate("lfw", given)


def test_a_far_without_enough_impostors_says_how_many_it_takes():
    result = evaluate("lfw", embeddings())
    by_far = {rate.wanted_far: rate for rate in result.rates}
    assert by_far[1e-2].point is not None
    assert by_far[1e-2].interval[0] < by_far[1e-2].point.tar < by_far[1e-2].interval[1]
    assert by_far[1e-3].point is None
    assert by_far[1e-3].impostors_needed == 1000
    assert by_far[1e-6].impostors_needed == 1_000_000


def test_weights_of_one_give_the_plain_tar():
    rng = np.random.default_rng(1)
    cosines = np.round(rng.normal(size=300), 1)  # with ties
    flags = rng.random(300) < 0.5
    for far in (0.01, 0.1, 0.3):
        expected = tar_at_far(cosines[flags], cosines[~flags], far).tar
        assert WeightedTar(cosines, flags, far)(np.ones(300)) == pytest.approx(expected)
    doubled = tar_at_far(np.repeat(cosines[flags], 2), np.repeat(cosines[~flags], 2), 0.1).tar
    assert WeightedTar(cosines, flags, 0.1)(np.full(300, 2.0)) == pytest.approx(doubled)
    assert np.isnan(WeightedTar(cosines, flags, 0.1)(flags.astype(float)))


def test_a_far_just_short_of_a_whole_number_is_that_number_with_weights_too():
    cosines, flags = (
        np.array([0.9, 0.8, 0.7, 0.2, 0.1]),
        np.array([False, True, True, False, False]),
    )
    wanted = tar_at_far(cosines[flags], cosines[~flags], 0.3333333).tar
    assert WeightedTar(cosines, flags, 0.3333333)(np.ones(5)) == wanted == 1


def test_pairs_of_one_score_are_accepted_together():
    cosines, flags = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert WeightedTar(cosines, flags, 0.0)(np.ones(4)) == 0.5
    assert WeightedTar(cosines, flags, 0.5)(np.ones(4)) == 1.0


def test_wilson_by_hand():
    # 8 of 10 at 95 %: the textbook interval 0.490 to 0.943.
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    low, high = wilson(0, 20)
    assert low == 0.0
    assert 0.1 < high < 0.2
    assert wilson(20, 20)[1] == 1.0
    with pytest.raises(ValueError, match="5 successes of 4 trials"):
        wilson(5, 4)


def test_wilson_covers_what_it_promises():
    rng = np.random.default_rng(0)
    successes = rng.binomial(50, 0.1, size=2000)
    covered = [low <= 0.1 <= high for low, high in (wilson(int(k), 50) for k in successes)]
    assert 0.93 < np.mean(covered) < 0.98


def test_few_people_make_a_wide_interval():
    """With the same pairs the interval is wider if they come from fewer people."""

    def width(num_people):
        people = np.array([f"p{row % num_people}" for row in range(400)])
        hard = np.array([int(name[1:]) % 4 == 0 for name in people])  # a quarter fails always

        def statistic(weights):
            return float((weights * ~hard).sum() / weights.sum())

        low, high = identity_bootstrap(statistic, people, people, np.random.default_rng(0))
        assert low < 0.75 < high
        return high - low

    assert width(8) > 2 * width(80)


def test_identities_give_a_second_interval():
    given = embeddings()
    people = [f"p{row // 20}" for row in range(400)]
    rates = rates_at_fars(
        np.linspace(0, 1, 200), given.is_genuine, people, np.random.default_rng(0), [0.1]
    )
    low, high = rates[0].by_identity
    assert low <= rates[0].point.tar <= high


@pytest.mark.parametrize("people", [2, 4, 5])
def test_too_few_people_are_not_resampled(people):
    """Of two every draw with an impostor pair is the same, and the interval would have no width."""
    given = embeddings(40)
    names = [f"{number % people}" for number in range(80)]
    result = evaluate("lfw", given, identities=names, rng=np.random.default_rng(0))
    assert (result.rates[0].by_identity is not None) == (people == 5)


def test_identities_in_several_folds_are_counted():
    names = ["a", "a", "b", "c", "d", "d", "c", "e"]
    assert shared_identities(names, np.array([0, 0, 1, 1])) == 1
    assert shared_identities(names, np.array([0, 0, 0, 0])) == 0
    assert shared_identities((), np.array([0, 1])) is None


def test_a_genuine_pair_is_drawn_with_its_one_person():
    people = [f"p{number}" for number in range(30)]
    sums = []
    identity_bootstrap(
        lambda weights: sums.append(weights.sum()) or 0.0, people, people, np.random.default_rng(0)
    )
    assert set(sums) == {30.0}  # as many as there are people, whoever was drawn


def test_what_is_right_adds_up_to_the_accuracy_of_each_fold():
    result = evaluate("lfw", embeddings(noise=2.0))
    by_fold = result.is_right.reshape(10, 20).mean(axis=1)
    assert by_fold.tolist() == pytest.approx([fold.accuracy for fold in result.published.per_fold])
    assert 0 < (~result.is_right).sum() < 200


def test_a_pair_occurs_as_often_as_its_people_by_hand():
    people = People(["a", "a", "b"], ["a", "b", "c"])
    assert people.count == 3
    # a is drawn 3 times, b twice, c never: pairs (a, a), (a, b) and (b, c).
    assert people.weights(np.array([3, 2, 0])).tolist() == [3.0, 6.0, 0.0]


def test_several_statistics_are_of_the_same_draws():
    rng = np.random.default_rng
    one, other = bootstraps(lambda drawn: (drawn[0], drawn[0] + 1.0), 5, rng(0), 100)
    assert (one[0] + 1, one[1] + 1) == other
    silent = bootstraps(lambda drawn: [np.nan], 5, rng(0), 100)[0]
    assert np.isnan(silent).all()

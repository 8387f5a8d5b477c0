"""Orders in which identities stand together: any part of one is what sorting the whole gives."""

from arcface_mxnet.batches.grouped import GroupedOrder
import numpy as np
import pytest

COUNTS = [3, 1, 7, 2, 5, 4, 1, 6]
GROUPS = [100 * i + np.arange(count) for i, count in enumerate(COUNTS)]


def sorted_whole(seed, each):
    """Return keys and identities of an order, by sorting every image of the dataset."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(len(GROUPS))  # of identity 0, 1, ...
    numbers = rng.random(sum(COUNTS))
    found, at = {}, 0
    for identity, group in enumerate(GROUPS):
        drawn = sorted(zip(numbers[at : at + len(group)], group, strict=True))[:each]
        found[places[identity]] = [(key, identity) for _, key in drawn]
        at += len(group)
    pairs = [pair for place in range(len(GROUPS)) for pair in found[place]]
    return np.array(pairs).T


@pytest.mark.parametrize("each", [1, 2, 5, 100])
@pytest.mark.parametrize("seed", [0, 1, [727, 0, 0, 0, 3]])
def test_every_part_is_that_of_the_sorted_whole(seed, each):
    keys, owners = sorted_whole(seed, each)
    order = GroupedOrder(GROUPS, each)
    assert order.length == len(keys)
    order.start(np.random.default_rng(seed))
    for begin in range(order.length):
        for end in range(begin + 1, order.length + 1):
            part = order.part(begin, end)
            np.testing.assert_array_equal(part[0], keys[begin:end])
            np.testing.assert_array_equal(part[1], owners[begin:end])


def test_a_round_shows_each_image_at_most_once_and_another_round_another_order():
    order = GroupedOrder(GROUPS, 100)
    rounds = []
    for seed in (0, 1):
        order.start(np.random.default_rng(seed))
        keys, owners = order.part(0, order.length)
        assert sorted(keys) == sorted(np.concatenate(GROUPS))
        assert (keys // 100 == owners).all()
        assert len(np.flatnonzero(np.diff(owners))) == len(GROUPS) - 1, "each stands together"
        rounds.append(keys.tolist())
    assert rounds[0] != rounds[1]

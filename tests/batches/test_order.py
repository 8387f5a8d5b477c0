"""Orders of images: each once an epoch, shared over machines, resumable."""

from itertools import islice
from types import SimpleNamespace

from arcface_mxnet.batches.order import PLANS, Setting
import numpy as np
import pytest


def setting(counts, per_batch_size=4, num_devices=1, *, seed=3, images_per_identity=0, **more):
    """A dataset of counts[i] images of identity i, keys from 1."""
    ends = 1 + np.cumsum(counts)
    groups = [np.arange(end - count, end) for count, end in zip(counts, ends, strict=True)]
    dataset = SimpleNamespace(image_keys=np.concatenate(groups), keys_by_identity=groups)
    config = SimpleNamespace(per_batch_size=per_batch_size, images_per_identity=images_per_identity)
    return Setting([dataset], config, seed, num_devices, **more)


def take(name, count, *arguments, state=None, **options):
    return list(islice(PLANS[name](setting(*arguments, **options)).draws(state), count))


def test_an_epoch_shows_each_image_once_and_drops_the_rest():
    plan = PLANS["shuffled"](setting([5, 5, 4]))
    assert plan.batches_per_epoch == 3
    draws = list(islice(plan.draws(), 6))
    assert [draw.epoch for draw in draws] == [0, 0, 0, 1, 1, 1]
    epochs = [np.concatenate([draw.keys for draw in draws[i : i + 3]]) for i in (0, 3)]
    for keys in epochs:
        assert len(set(keys)) == len(keys) == 12
    assert list(epochs[0]) != list(epochs[1])
    assert set(draws[0].sources) == {0}


@pytest.mark.parametrize("name", ["shuffled", "identities", "pairs"])
def test_another_seed_draws_another_order(name):
    one, same, other = (take(name, 1, [9] * 4, 4, images_per_identity=2, seed=s) for s in (3, 3, 4))
    assert list(one[0].keys) == list(same[0].keys) != list(other[0].keys)


def test_every_pass_draws_images_of_an_identity_anew():
    draws = take("identities", 6, [90], 4, images_per_identity=4)  # each is one whole pass
    assert len({tuple(draw.keys) for draw in draws}) == 6


def test_every_image_comes_up_over_the_epochs():
    draws = take("shuffled", 60, [5, 5, 4])
    counts = np.bincount(np.concatenate([draw.keys for draw in draws]), minlength=15)[1:]
    assert counts.min() >= 8 and counts.max() <= 20, "20 epochs of 12 out of 14"


@pytest.mark.parametrize("counts", [[1], [3], [2, 2], [3, 2, 2]])
def test_a_dataset_smaller_than_a_batch_is_drawn_more_than_once(counts):
    plan = PLANS["shuffled"](setting(counts, per_batch_size=8))
    assert plan.batches_per_epoch == 1
    first, second = islice(plan.draws(), 2)
    shown = np.bincount(first.keys, minlength=sum(counts) + 1)[1:]
    assert len(first.keys) == 8
    assert shown.max() - shown.min() <= 1
    assert second.epoch == 1


@pytest.mark.parametrize("name", ["shuffled", "identities", "pairs"])
@pytest.mark.parametrize("num_devices", [1, 2])
def test_any_state_continues_the_same_order(name, num_devices):
    arguments = ([4] * 9, 4, num_devices)
    options = {"images_per_identity": 2 if name != "shuffled" else 0}
    draws = take(name, 12, *arguments, **options)
    for stop in range(12):
        resumed = take(name, 11 - stop, *arguments, state=draws[stop].state, **options)
        for one, other in zip(draws[stop + 1 :], resumed, strict=True):
            assert np.array_equal(one.keys, other.keys)
            assert (one.number, one.epoch, one.state) == (other.number, other.epoch, other.state)
    assert [draw.number for draw in draws] == list(range(12))


@pytest.mark.parametrize("name", ["shuffled", "identities"])
def test_machines_draw_together_what_one_draws_alone(name):
    options = {"images_per_identity": 2 if name != "shuffled" else 0}
    alone = take(name, 5, [4] * 9, 4, 4, **options)
    parts = [take(name, 5, [4] * 9, 4, 2, worker=w, num_workers=2, **options) for w in (0, 1)]
    for whole, first, second in zip(alone, *parts, strict=True):
        assert np.array_equal(whole.keys, np.concatenate([first.keys, second.keys]))


def test_blocks_of_one_identity():
    draws = take("identities", 12, [5, 1, 7, 3, 2, 4], 6, 2, images_per_identity=3)
    owner = np.repeat(np.arange(6), [5, 1, 7, 3, 2, 4])
    seen = set()
    for draw in draws:
        blocks = owner[draw.keys - 1].reshape(2, 2, 3)  # device, identity, image
        assert (blocks == blocks[:, :, :1]).all(), "each block is of one identity"
        assert (blocks[:, 0, 0] != blocks[:, 1, 0]).all(), "none twice in a device's share"
        for keys in draw.keys.reshape(-1, 3):
            many = len(set(keys)) == 3
            assert many or owner[keys[0] - 1] in (1, 4), "repeated only where there are too few"
        seen |= set(blocks.ravel())
    assert seen == set(range(6))


def test_an_epoch_shows_each_identity_once():
    draws = take("identities", 3, [4] * 6, 4, 1, images_per_identity=2)
    owner = np.repeat(np.arange(6), 4)
    assert sorted(owner[np.concatenate([d.keys for d in draws]) - 1]) == sorted(list(range(6)) * 2)


def test_default_images_per_identity():
    keys = take("identities", 1, [20, 20], 32)[0].keys
    assert (keys[:16] <= 20).all() != (keys[16:] <= 20).all()
    assert len(set(keys)) == 32
    pairs = take("pairs", 1, [20] * 4, 8)[0].keys
    assert len(set((pairs - 1) // 20)) == 4


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="--per-batch-size 5: must be a multiple of .* 2"):
        take("identities", 1, [4] * 9, 5, images_per_identity=2)
    with pytest.raises(ValueError, match="holds 4 identities .* the dataset has 3"):
        take("identities", 1, [4] * 3, 8, images_per_identity=2)
    with pytest.raises(ValueError, match="'shufled': unknown batch plan.*did you mean shuffled"):
        PLANS["shufled"]


def test_images_are_repeated_only_when_an_identity_has_too_few():
    keys = take("identities", 1, [5, 9, 2], 15, images_per_identity=5)[0].keys
    blocks = sorted(sorted(block) for block in keys.reshape(3, 5).tolist())
    assert blocks[0] == [1, 2, 3, 4, 5]
    assert len(set(blocks[1])) == 5
    assert sorted(map(blocks[2].count, {15, 16})) == [2, 3]


def test_the_image_a_batch_later_takes_the_place_of_one_that_does_not_decode():
    first, second = take("shuffled", 2, [12], 6)
    again = [list(first.substitutes(place)) for place in range(6)]
    assert [keys[0] for keys in again] == second.keys.tolist()
    assert all(sorted(keys) == list(range(1, 13)) for keys in again)
    assert list(second.substitutes(0))[0] == first.keys[0], "the order begins again at its end"


def test_machines_pass_over_the_whole_batch_for_a_substitute():
    parts = [take("shuffled", 2, [16], 4, worker=worker, num_workers=2) for worker in (0, 1)]
    for first, second in parts:
        assert [next(iter(first.substitutes(i))) for i in range(4)] == second.keys.tolist()


def test_another_image_of_the_identity_takes_the_place_then_another_identity():
    draw = take("identities", 1, [4] * 5, 6, images_per_identity=2)[0]
    used, taken = [], []
    for place in range(6):
        identity = (draw.keys[place] - 1) // 4
        keys = list(draw.substitutes(place))
        own, others = keys[:4], {(key - 1) // 4 for key in keys[4:]}
        assert sorted(own) == list(range(4 * identity + 1, 4 * identity + 5))
        assert own[0] not in draw.keys, "an image that is not in the block comes first"
        used.append(identity)
        taken.append(others)
    assert taken[::2] == taken[1::2], "a block stays one identity"
    outside = set(range(5)) - set(used)
    assert len(outside) == 2 and set().union(*taken) == outside
    assert sum(map(len, taken[::2])) == 2, "no two blocks of a share take the same identity"


def test_the_identities_are_drawn_once_a_pass(monkeypatch):
    passes = []
    rng = Setting.rng

    def spy(self, *place):
        passes.extend([place] if len(place) == 1 else [])
        return rng(self, *place)

    monkeypatch.setattr(Setting, "rng", spy)
    take("identities", 9, [4] * 6, 4, images_per_identity=2)  # three shares make a pass
    assert passes == [(0,), (1,), (2,)]

"""The triplet plan: bags, layout, turns of several datasets, resuming, and giving up."""

import json
import logging
import re

from arcface_mxnet.batches import mining
from arcface_mxnet.batches.grouped import GroupedOrder
from arcface_mxnet.batches.order import PLANS
from arcface_mxnet.batches.source import batches
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
import mxnet as mx
import numpy as np
import pytest

COUNTS = [4, 1, 6, 3, 5, 2, 4, 4]
IDENTITIES = list(np.repeat(np.arange(len(COUNTS)), COUNTS))
SIDE = 16


class Embedding:
    """A linear map of the image whose weights change as training would change them."""

    def __init__(self, dim=4):
        self.weight = mx.nd.array(np.random.default_rng(2).normal(size=(3 * SIDE * SIDE, dim)))
        self.batches = []

    def __call__(self, images):
        self.batches.append(images.shape)
        return mx.nd.dot(images.reshape((len(images), -1)) - 127.5, self.weight)

    def train(self):
        self.weight *= mx.nd.array([[1.05, 0.97, 1.1, 1.0]])


@pytest.fixture
def dataset(tmp_path, make_dataset):
    return FaceDataset(make_dataset(tmp_path / "one", IDENTITIES))


def source(dataset, embed, *, seed=1, num_devices=1, **options):
    options = {
        "per_batch_size": 6, "triplet_bag_size": 20, "triplet_alpha": 3.0, "rand_mirror": 0,
        "num_threads": 2,
    } | options  # fmt: skip
    config = TrainConfig(**options)
    return batches("triplets", dataset, config, np.random.default_rng(seed), embed, num_devices)


@pytest.mark.parametrize(("per_batch_size", "num_devices"), [(3, 1), (6, 2), (9, 3)])
def test_anchors_positives_negatives_in_each_share(dataset, per_batch_size, num_devices):
    embed = Embedding()
    drawn = source(dataset, embed, per_batch_size=per_batch_size, num_devices=num_devices)
    third = per_batch_size // 3
    for _ in range(8):
        batch = next(drawn)
        data, labels = batch.data[0].asnumpy(), batch.label[0].asnumpy()
        assert data.shape == (per_batch_size * num_devices, 3, SIDE, SIDE)
        for device in range(num_devices):
            anchors, positives, negatives = labels[device * per_batch_size :][
                :per_batch_size
            ].reshape(3, third)
            assert (anchors == positives).all() and (anchors != negatives).all()
        unit = embed(mx.nd.array(data)).asnumpy()
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        a, p, n = np.moveaxis(unit.reshape(num_devices, 3, third, -1), 1, 0)
        d_ap, d_an = ((a - p) ** 2).sum(-1), ((a - n) ** 2).sum(-1)
        assert (d_ap < d_an + 1e-5).all() and (d_an < d_ap + 3.0 + 1e-5).all()


@pytest.mark.parametrize("bag_size", [4, 7, 20, 28])
@pytest.mark.parametrize("per_batch_size", [3, 12, 60])
def test_any_bag_size_goes_with_any_batch_size(dataset, bag_size, per_batch_size):
    embed = Embedding()
    drawn = source(dataset, embed, triplet_bag_size=bag_size, per_batch_size=per_batch_size)
    next(drawn)
    assert set(embed.batches) == {(per_batch_size, 3, SIDE, SIDE)}
    bags = drawn.state()["place"]["bag"]
    assert len(embed.batches) == bags * -(-bag_size // per_batch_size)


def test_bags_walk_through_the_order(dataset, monkeypatch):
    """Every identity's images together, at most images_per_identity; one-image people too."""
    seen = []
    plan = PLANS["triplets"]
    original = plan._bag

    def spy(self, bag):
        keep = self._setting.embed_keys

        def embed_keys(source, keys):
            seen.append(list(keys))
            return keep(source, keys)

        object.__setattr__(self._setting, "embed_keys", embed_keys)
        found = original(self, bag)
        object.__setattr__(self._setting, "embed_keys", keep)
        return found

    monkeypatch.setattr(plan, "_bag", spy)
    drawn = source(dataset, Embedding(), triplet_bag_size=10, images_per_identity=3)
    while len(seen) < 4:
        next(drawn)
    in_order = sum(min(count, 3) for count in COUNTS)
    assert in_order == 21, "two bags of 10, then the order is drawn anew"
    owner = dict(enumerate(IDENTITIES, start=1))
    for first, second in (seen[0:2], seen[2:4]):
        keys = first + second
        assert len(set(keys)) == 20
        people = [owner[key] for key in keys]
        assert max(people.count(person) for person in people) <= 3
        changes = sum(a != b for a, b in zip(people, people[1:], strict=False))
        assert changes == len(set(people)) - 1, "each identity's images stand together"
    assert seen[0] != seen[2]


def test_each_bag_is_mined_with_random_numbers_of_its_own(dataset, monkeypatch):
    seen = []

    def spy(embeddings, owners, alpha, max_ap, rng, mode):
        seen.append(rng.bit_generator.state["state"]["state"])
        return mining.mine(embeddings, owners, alpha, max_ap, rng, mode)

    monkeypatch.setattr("arcface_mxnet.batches.triplets.mine", spy)
    drawn = source(dataset, Embedding())
    while len(seen) < 4:
        next(drawn)
    assert len(set(seen)) == len(seen)


def take(drawn, embed, count):
    """Draw batches, 'training' after each."""
    found = []
    for _ in range(count):
        batch = next(drawn)
        found.append((batch.data[0].asnumpy(), batch.label[0].asnumpy()))
        embed.train()
    return found


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 7])
def test_a_resumed_source_goes_on_bit_for_bit(dataset, taken):
    embed = Embedding()
    whole = source(dataset, embed, triplet_bag_size=9, rand_mirror=1, rand_shift=2)
    take(whole, embed, taken)
    state, weight = json.loads(json.dumps(whole.state())), embed.weight.copy()
    rest = take(whole, embed, 9)
    later = Embedding()
    resumed = source(dataset, later, seed=9, triplet_bag_size=9, rand_mirror=1, rand_shift=2)
    later.weight = weight
    resumed.restore(state)
    for (data, label), (again, same) in zip(rest, take(resumed, later, 9), strict=True):
        assert np.array_equal(data, again) and np.array_equal(label, same)
    assert whole.state() == resumed.state()
    assert whole.state()["place"]["bag"] >= 3, "the test should cross bags"


def test_a_bag_is_embedded_only_after_training_with_the_one_before(dataset):
    embed = Embedding()
    drawn = source(dataset, embed, triplet_bag_size=12, per_batch_size=3)
    next(drawn)
    after_first = len(embed.batches)
    while len(drawn.state()["place"]["waiting"]) >= 4:
        assert len(embed.batches) == after_first
        next(drawn)
    assert len(embed.batches) == after_first
    next(drawn)
    assert len(embed.batches) > after_first


def test_datasets_take_turns(tmp_path, dataset, make_dataset):
    other = FaceDataset(make_dataset(tmp_path / "two", [i for i in range(6) for _ in range(4)]))
    drawn = source([dataset, other], Embedding(), triplet_bag_size=12)
    plan = drawn._draws.gi_frame.f_locals["self"]
    sources = [set(plan._bag(bag)[:, 0]) for bag in range(6)]
    assert sources == [{0}, {1}] * 3
    labels = np.concatenate([next(drawn).label[0].asnumpy() for _ in range(20)])
    assert labels.max() == 7


def test_datasets_of_different_sizes_are_refused(tmp_path, dataset, make_dataset):
    other = FaceDataset(make_dataset(tmp_path / "two", [0, 0]), image_size=(20, 20))
    with pytest.raises(ValueError, match="different height and width"):
        source([dataset, other], Embedding())


def test_the_report_of_a_bag(dataset, caplog):
    caplog.set_level(logging.INFO)
    drawn = source(dataset, Embedding())
    next(drawn)
    place = drawn.state()["place"]
    line = next(text for text in caplog.messages if text.startswith("bag 0"))
    found = re.fullmatch(
        r"bag 0: found triplets (\d+) from (\d+\.\d)% of (\d+) pairs, d_ap (\d\.\d+), "
        r"d_an (\d\.\d+); embedding \d+\.\d s, mining \d+\.\d\d s, training before it \d+\.\d s",
        line,
    )
    triplets, share, pairs, d_ap, d_an = map(float, found.groups())
    assert triplets == len(place["waiting"]) / 4 + 2
    assert share == pytest.approx(100 * triplets / pairs, abs=0.1)
    assert 0 < d_ap < d_an < 4


def test_bags_without_triplets_are_reported_and_many_end_the_run(dataset, caplog):
    caplog.set_level(logging.INFO)
    drawn = source(dataset, Embedding(), triplet_alpha=0.0)
    with pytest.raises(ValueError, match=r"10 bags in a row gave no triplet .* raise"):
        next(drawn)
    skipped = [text for text in caplog.messages if "found triplets 0" in text and "skipped" in text]
    assert len(skipped) == 10


def test_a_small_dataset_is_one_bag(dataset, caplog):
    caplog.set_level(logging.INFO)
    next(source(dataset, Embedding(), triplet_bag_size=3600))
    assert "has 28 images with at most 5 per identity: a bag holds them all" in caplog.text


def test_what_cannot_be_drawn_is_refused(dataset):
    with pytest.raises(ValueError, match="--per-batch-size 8: triplets need a multiple of 3"):
        source(dataset, Embedding(), per_batch_size=8)
    with pytest.raises(ValueError, match="give embed"):
        source(dataset, None)


def test_mining_modes_reach_the_miner(dataset):
    states = [
        [next(drawn).label[0].asnumpy().tolist() for _ in range(3)]
        for drawn in (
            source(dataset, Embedding(), triplet_mining=mode)
            for mode in ("semi-hard", "hardest", "random")
        )
    ]
    assert states[0] != states[1] != states[2] != states[0]


def test_the_order_is_drawn_once_a_round(dataset, monkeypatch):
    started = []
    start = GroupedOrder.start
    monkeypatch.setattr(
        GroupedOrder, "start", lambda self, rng: (started.append(1), start(self, rng))[1]
    )
    drawn = source(dataset, Embedding(), triplet_bag_size=9)
    plan = drawn._draws.gi_frame.f_locals["self"]
    for bag in range(9):  # 28 images: three bags make a round
        plan._bag(bag)
        assert len(started) == bag // 3 + 1

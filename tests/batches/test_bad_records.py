"""A record that does not decode: what takes its place, that resuming changes nothing, the limit."""

from itertools import pairwise
import json

from arcface_mxnet.batches.source import batches
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
import mxnet as mx
import numpy as np
import pytest

from tests.batches.spoiling import spoil

IDENTITIES = [i for i in range(6) for _ in range(4)]  # keys from 1
SIDE = 16
CHANGES = {"rand_mirror": 1, "rand_shift": 2}


@pytest.fixture
def make_spoilt(tmp_path, make_dataset):
    def make(*keys, identities=IDENTITIES):
        folder = make_dataset(tmp_path / "-".join(map(str, ("data", *keys))), identities)
        spoil(folder, *keys)
        return FaceDataset(folder)

    return make


def source(dataset, *, plan="shuffled", seed=1, embed=None, num_devices=1, **options):
    options = {"per_batch_size": 4, "rand_mirror": 0, "num_threads": 2, "max_bad": 9} | options
    rng = np.random.default_rng(seed)
    return batches(plan, dataset, TrainConfig(**options), rng, embed, num_devices)


def take(drawn, count, after=lambda: None):
    found = []
    for _ in range(count):
        batch = next(drawn)
        found.append((batch.data[0].asnumpy(), batch.label[0].asnumpy()))
        after()
    return found


def shown(batch, image_of):
    """Return the keys of the images of a batch that is not augmented."""
    keys = {image_of(k, i).tobytes(): k for k, i in enumerate(IDENTITIES, start=1)}
    images = batch[0].transpose(0, 2, 3, 1).astype(np.uint8)
    return [keys[image.tobytes()] for image in images]


def assert_same(left, right):
    for one, other in zip(left, right, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_only_its_place_changes_and_another_image_with_its_label_stands_there(
    make_spoilt, image_of, caplog
):
    healthy = [shown(b, image_of) for b in take(source(make_spoilt()), 12)]
    found = take(source(make_spoilt(7)), 12)
    spoilt = [shown(batch, image_of) for batch in found]
    for number, (before, after) in enumerate(zip(healthy, spoilt, strict=True)):
        for place, (was, now) in enumerate(zip(before, after, strict=True)):
            assert (was == 7) == (was != now), "only the bad one changes"
            if was == 7 and number % 6 < 5:
                assert now == healthy[number + 1][place], "the one a batch later"
    assert sum(keys.count(7) for keys in healthy) == 2 and not any(7 in keys for keys in spoilt)
    for (_, labels), keys in zip(found, spoilt, strict=True):
        assert labels.tolist() == [IDENTITIES[key - 1] for key in keys]
    told = [text for text in caplog.messages if text.startswith("left out, bad record")]
    assert len(told) == 1 and "record 7: " in told[0], "met in two epochs, told once"


@pytest.mark.parametrize("plan", ["shuffled", "identities", "pairs"])
@pytest.mark.parametrize("threads", [1, 5])
def test_resuming_before_at_and_after_the_bad_records_changes_nothing(make_spoilt, plan, threads):
    dataset = make_spoilt(3, 7, 8, 20)
    options = CHANGES | ({"images_per_identity": 2} if plan == "identities" else {})
    whole = source(dataset, plan=plan, num_threads=1, **options)
    states, all_batches = [], []
    for _ in range(12):
        states.append(json.loads(json.dumps(whole.state())))
        all_batches += take(whole, 1)
    counts = [len(state["bad_records"]) for state in states]
    assert counts[0] == 0 and len(set(counts)) >= 3 and counts == sorted(counts), "met on the way"
    for taken, state in enumerate(states):
        resumed = source(dataset, plan=plan, seed=99, num_threads=threads, **options)
        take(resumed, 2)
        resumed.restore(state)
        assert resumed.state() == state
        assert_same(take(resumed, 12 - taken), all_batches[taken:])
        assert resumed.state() == whole.state()


def test_the_count_is_of_the_batches_handed_out_not_of_those_read_ahead(make_spoilt, image_of):
    order = [shown(b, image_of) for b in take(source(make_spoilt()), 6)]
    late = order[3][0]
    drawn = source(make_spoilt(late))
    for number in range(6):
        assert drawn.state()["bad_records"] == ([[0, late]] if number > 3 else [])
        next(drawn)
    assert drawn.bad_records.facts()["count"] == 1
    assert list(drawn.bad_records.facts()["keys"].values()) == [[late]]


def test_blocks_stay_one_identity(make_spoilt):
    """Identity 1 keeps one image, identity 2 none."""
    dataset = make_spoilt(5, 6, 7, *range(9, 13))
    drawn = source(dataset, plan="identities", per_batch_size=6, images_per_identity=2)
    seen = set()
    for _, labels in take(drawn, 12):
        blocks = labels.reshape(3, 2)
        assert (blocks[:, 0] == blocks[:, 1]).all()
        assert len(set(blocks[:, 0])) == 3, "no identity twice in a share"
        seen |= set(blocks[:, 0])
    assert seen == {0, 1, 3, 4, 5}


def test_an_identity_that_nothing_can_replace_ends_the_run(make_spoilt):
    dataset = make_spoilt(1, 2, 3, 4)
    drawn = source(dataset, plan="pairs", per_batch_size=12)  # all six identities in each share
    with pytest.raises(
        ValueError, match=r"nothing can take the place of a bad record: .* record \d: .*no image"
    ):
        next(drawn)


@pytest.mark.parametrize("threads", [1, 4])
def test_beyond_max_bad_the_run_ends_where_the_last_one_is_met(make_spoilt, image_of, threads):
    order = [shown(b, image_of) for b in take(source(make_spoilt()), 6)]
    bad = [order[1][2], order[4][0]]
    drawn = source(make_spoilt(*bad), max_bad=1, num_threads=threads)
    take(drawn, 4)
    before = drawn.state()
    assert before["bad_records"] == [[0, bad[0]]]
    with pytest.raises(ValueError) as error:
        next(drawn)
    assert f"record {bad[1]}: " in str(error.value)
    for part in ("records that do not decode: 2; --max-bad allows 1.", "rec check", "--resume"):
        assert part in str(error.value)
    assert drawn.state() == before


def test_the_default_is_a_thousandth_of_the_images_and_at_least_one(make_spoilt, make_dataset):
    assert source(make_spoilt(), max_bad=-1).bad_records.limit == 1
    assert source(make_spoilt(), max_bad=0).bad_records.limit == 0
    with pytest.raises(ValueError, match=r"allows 1 \(a thousandth of 24 images, at least 1\)"):
        take(source(make_spoilt(3, 4), max_bad=-1), 6)
    with pytest.raises(ValueError, match=r"do not decode: 1; --max-bad allows 0\."):
        take(source(make_spoilt(5), max_bad=0), 6)


def test_a_thousandth_counts_the_images_of_all_datasets(make_spoilt, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.batches.bad_records.ALLOWED_SHARE", 16)
    dataset = make_spoilt()
    drawn = source([dataset, dataset], plan="triplets", embed=Embedding(), per_batch_size=6,
                   triplet_bag_size=12, triplet_alpha=3.0, max_bad=-1)  # fmt: skip
    assert drawn.bad_records.limit == 3


def test_a_dataset_of_which_nothing_decodes_ends_at_once(make_spoilt):
    drawn = source(make_spoilt(*range(1, 25)), max_bad=-1)
    with pytest.raises(ValueError, match="do not decode: 2; --max-bad allows 1 "):
        next(drawn)


class Embedding:
    """A linear map whose weights change as training would change them."""

    def __init__(self):
        self.weight = mx.nd.array(np.random.default_rng(2).normal(size=(3 * SIDE * SIDE, 4)))

    def __call__(self, images):
        return mx.nd.dot(images.reshape((len(images), -1)) - 127.5, self.weight)

    def train(self):
        self.weight *= mx.nd.array([[1.05, 0.97, 1.1, 1.0]])


TRIPLETS = {"plan": "triplets", "per_batch_size": 6, "triplet_bag_size": 11, "triplet_alpha": 3.0}


def test_a_bag_goes_without_it_and_owners_stay_right(make_spoilt, image_of):
    dataset = make_spoilt(2, 10, 11)
    embed = Embedding()
    drawn = source(dataset, embed=embed, **TRIPLETS)
    seen = set()
    for batch in take(drawn, 20, embed.train):
        keys = shown(batch, image_of)
        assert batch[1].tolist() == [IDENTITIES[key - 1] for key in keys]
        anchors, positives, negatives = batch[1].reshape(3, 2)
        assert (anchors == positives).all() and (anchors != negatives).all()
        seen |= set(keys)
    assert seen == set(range(1, 25)) - {2, 10, 11}
    assert drawn.state()["bad_records"] == [[0, 2], [0, 10], [0, 11]]


@pytest.mark.parametrize("threads", [1, 5])
def test_triplets_resume_before_at_and_after_the_bag_with_a_bad_record(make_spoilt, threads):
    dataset = make_spoilt(2, 10, 17)
    embed = Embedding()
    whole = source(dataset, embed=embed, num_threads=1, **TRIPLETS, **CHANGES)
    states, weights, all_batches = [], [], []
    for _ in range(16):
        states.append(json.loads(json.dumps(whole.state())))
        weights.append(embed.weight.copy())
        all_batches += take(whole, 1, embed.train)
    counts = [len(state["bad_records"]) for state in states]
    assert counts[0] == 0 and max(counts) == 3 and len(set(counts)) >= 3
    assert any(a < b for a, b in pairwise(state["place"]["bag"] for state in states[1:]))
    for taken, (state, weight) in enumerate(zip(states, weights, strict=True)):
        later = Embedding()
        resumed = source(dataset, embed=later, seed=9, num_threads=threads, **TRIPLETS, **CHANGES)
        later.weight = weight
        resumed.restore(state)
        assert_same(take(resumed, 16 - taken, later.train), all_batches[taken:])
        assert resumed.state() == whole.state()


def test_a_bag_of_which_nothing_decodes_says_so(make_spoilt):
    drawn = source(make_spoilt(*range(1, 25)), embed=Embedding(), **TRIPLETS | {"max_bad": 99})
    with pytest.raises(ValueError, match=r"no image of a bag decodes: .*record \d+: "):
        next(drawn)


def test_those_met_already_are_not_held_against_a_lower_limit(make_spoilt):
    drawn = source(make_spoilt(3, 4))
    take(drawn, 6)
    again = source(make_spoilt(3, 4), max_bad=1)
    again.restore(drawn.state())
    take(again, 6)
    assert again.bad_records.facts()["count"] == 2


def test_a_state_of_other_datasets_is_refused(make_spoilt):
    drawn = source(make_spoilt())
    with pytest.raises(ValueError, match="bad records are of more than 1 datasets"):
        drawn.restore(drawn.state() | {"bad_records": [[1, 5]]})


def test_a_last_state_that_is_older_than_the_count_is_taken(make_spoilt):
    drawn = source(make_spoilt())
    next(drawn)
    state = drawn.state()
    del state["bad_records"]
    drawn.restore(state)
    assert drawn.state() == state | {"bad_records": []}

"""Batches: what the network gets, the same however many threads read, and after a resume."""

import hashlib
import json

from arcface_mxnet.batches.augment import Augmentation, refuse_beyond
from arcface_mxnet.batches.source import BatchSource, batches
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.data.dataset import FaceDataset
import numpy as np
import pytest

IDENTITIES = [0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 4]
CHANGES = {"rand_mirror": 1, "rand_shift": 2, "cutoff": 5, "color": 2}


@pytest.fixture
def dataset(tmp_path, make_dataset):
    return FaceDataset(make_dataset(tmp_path, IDENTITIES))


def source(dataset, *, seed=1, num_devices=1, plan="shuffled", worker=0, num_workers=1, **options):
    options = {"per_batch_size": 4, "rand_mirror": 0} | options
    return batches(
        plan,
        dataset,
        TrainConfig(**options),
        np.random.default_rng(seed),
        None,
        num_devices,
        worker=worker,
        num_workers=num_workers,
    )


def arrays(batch):
    return batch.data[0].asnumpy(), batch.label[0].asnumpy()


def take(drawn, count):
    return [arrays(next(drawn)) for _ in range(count)]


def same(one, other):
    return all(
        np.array_equal(a, b)
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def test_raw_rgb_nchw_float32_and_identities(dataset, image_of):
    drawn = source(dataset, num_devices=2)
    batch = next(drawn)
    data, labels = arrays(batch)
    assert data.shape == (8, 3, 16, 16) and data.dtype == labels.dtype == np.float32
    assert [tuple(desc.shape) for desc in drawn.provide_data] == [(8, 3, 16, 16)]
    assert [(desc.name, tuple(desc.shape)) for desc in batch.provide_label] == [
        ("softmax_label", (8,))
    ]
    assert drawn.batches_per_epoch == 1
    known = {
        (key, identity): image_of(key, identity).transpose(2, 0, 1)
        for key, identity in enumerate(IDENTITIES, start=1)
    }
    found = []
    for image, label in zip(data, labels, strict=True):
        matches = [key for key, pixels in known.items() if np.array_equal(pixels, image)]
        assert len(matches) == 1 and matches[0][1] == label
        found += matches
    assert len(set(found)) == 8


def test_the_number_of_threads_changes_nothing(dataset):
    one, many = (source(dataset, num_threads=threads, **CHANGES) for threads in (1, 7))
    assert same(take(one, 9), take(many, 9))


@pytest.mark.parametrize(("options", "digest"), [
    ({}, "3e5a59d48b0ff977"),
    ({"rand_shift": 2, "cutoff": 5}, "fa99697578fbddc2"),
])  # fmt: skip
def test_published_batches_stay_bit_for_bit(dataset, options, digest):
    """The digests are those of the loops that mirrored, shifted and cut one after the other."""
    config = TrainConfig(per_batch_size=4, **options)
    drawn = BatchSource("shuffled", [dataset], config, np.random.default_rng(1))
    found = hashlib.sha256()
    for _ in range(9):
        batch = next(drawn)
        found.update(batch.data.tobytes() + batch.label.tobytes())
    assert found.hexdigest()[:16] == digest


EVERY_NEW = dict.fromkeys(
    ("mask", "glasses", "rotate", "grey", "blur", "motion_blur", "low_res", "jpeg", "erase"), 0.6
) | {"low_res_size": (4, 9), "motion_blur_length": (2.0, 5.0), "mask_top": (0.3, 0.5)}


def test_new_changes_follow_from_the_seed_and_the_place_alone(dataset):
    """Threads and an interruption change nothing; switched off, bit for bit the default."""
    options = EVERY_NEW | CHANGES
    one, many = (source(dataset, num_threads=threads, **options) for threads in (1, 5))
    first = take(one, 3)
    assert same(first, take(many, 3))
    state = json.loads(json.dumps(one.state()))
    rest = take(one, 5)
    resumed = source(dataset, seed=99, **options)
    resumed.restore(state)
    assert same(take(resumed, 5), rest)
    assert not same(rest, take(source(dataset, **CHANGES), 8)[3:])
    off = dict.fromkeys(("mask", "glasses", "rotate", "grey", "blur", "low_res", "erase"), 0.0)
    assert same(take(source(dataset, **CHANGES, **off), 4), take(source(dataset, **CHANGES), 4))


@pytest.mark.parametrize("options", [{"rand_shift": 16}, {"cutoff": 99}])
def test_changes_that_leave_nothing_of_a_crop_are_refused(dataset, options):
    with pytest.raises(ValueError, match="^--(rand-shift 16|cutoff 99): the crops have 16 pixels"):
        source(dataset, **options)
    source(dataset, rand_shift=15, cutoff=15)


@pytest.mark.parametrize(("options", "words"), [
    ({"low_res": 0.1, "low_res_size": (9, 17)}, "^--low-res-size 9,17: .* a height of 16 pixels"),
    ({"motion_blur": 0.1, "motion_blur_length": (17.0,)}, "^--motion-blur-length 17.0: the crops"),
    ({"low_res": 0.1, "rand_shift": 16}, "^--rand-shift 16: .*\n--low-res-size 16,24: the crops"),
])  # fmt: skip
def test_changes_that_cannot_be_made_of_a_crop_are_refused_before_any_is_drawn(
    dataset, options, words
):
    with pytest.raises(ValueError, match=words):
        source(dataset, **options)
    with pytest.raises(ValueError, match="^--mask and --glasses: the crops are 8x16 "):
        refuse_beyond(TrainConfig(glasses=0.1), 8, 16)
    source(dataset, low_res=1.0, low_res_size=(16,), motion_blur=1.0, motion_blur_length=(16.0,))


def test_seeds_differ(dataset):
    assert not same(take(source(dataset, seed=1), 2), take(source(dataset, seed=2), 2))


def test_augmentation_is_applied_per_sample_and_epoch(dataset):
    plain, changed = source(dataset), source(dataset, **CHANGES)
    before, after = take(plain, 4), take(changed, 4)
    assert all(np.array_equal(b[1], a[1]) for b, a in zip(before, after, strict=True))
    assert not any(np.array_equal(b[0], a[0]) for b, a in zip(before, after, strict=True))
    expected = Augmentation(TrainConfig(**CHANGES))(
        before[1][0][2].astype(np.uint8).transpose(1, 2, 0),
        np.random.default_rng([changed.state()["seed"], 1, 1, 2]),
    )
    np.testing.assert_allclose(after[1][0][2], expected.transpose(2, 0, 1), rtol=0, atol=1e-3)


@pytest.mark.parametrize("taken", [0, 1, 2, 5])
def test_a_resumed_source_goes_on_bit_for_bit(dataset, taken):
    whole = source(dataset, seed=1, **CHANGES)
    take(whole, taken)
    state = json.loads(json.dumps(whole.state()))
    rest = take(whole, 6)
    resumed = source(dataset, seed=99, **CHANGES)
    take(resumed, 3)
    resumed.restore(state)
    assert same(take(resumed, 6), rest)
    assert resumed.state() == whole.state()
    assert resumed.epoch == whole.epoch


def test_state_is_that_after_the_batch_handed_out_not_read_ahead(dataset):
    drawn = source(dataset)
    next(drawn)
    assert drawn.state()["place"] == {"epoch": 0, "batch": 1}
    next(drawn)
    assert drawn.state()["place"] == {"epoch": 1, "batch": 0}
    assert drawn.epoch == 0
    next(drawn)
    assert drawn.epoch == 1


def test_a_state_of_another_geometry_is_refused(dataset):
    state = source(dataset).state()
    with pytest.raises(ValueError, match="images_per_batch 4, this one has 2; resume with"):
        source(dataset, per_batch_size=2).restore(state)
    with pytest.raises(ValueError, match="plan shuffled, this one has pairs"):
        source(dataset, plan="pairs").restore(state)


def test_machines_get_the_parts_of_one_batch(dataset):
    whole = take(source(dataset, num_devices=2, **CHANGES), 3)
    parts = [take(source(dataset, worker=w, num_workers=2, **CHANGES), 3) for w in (0, 1)]
    for (data, label), first, second in zip(whole, *parts, strict=True):
        assert np.array_equal(data, np.concatenate([first[0], second[0]]))
        assert np.array_equal(label, np.concatenate([first[1], second[1]]))


def test_an_identity_beyond_property_in_the_middle_is_found(tmp_path, make_dataset, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.data.opening.SAMPLE", 2)
    make_dataset(tmp_path, [0, 0, 7, 7, 1, 1])
    (tmp_path / "property").write_text("2,16,16")
    drawn = source(FaceDataset(tmp_path), per_batch_size=6)
    with pytest.raises(ValueError, match="record [34] has identity 7, but .*property says 2"):
        next(drawn)


def test_options_that_the_plan_ignores_are_refused(dataset):
    with pytest.raises(ValueError, match="--triplet-bag-size 60: batch plan 'shuffled'"):
        source(dataset, triplet_bag_size=60)
    with pytest.raises(ValueError, match="--images-per-identity 2: batch plan 'shuffled'"):
        source(dataset, images_per_identity=2)
    source(dataset, plan="identities", images_per_identity=2)


def test_waiting_is_counted_and_reading_stops(dataset):
    drawn = source(dataset)
    take(drawn, 3)
    assert 0 < drawn.wait_seconds < 60
    drawn.close()
    with pytest.raises(RuntimeError):
        take(drawn, 20)

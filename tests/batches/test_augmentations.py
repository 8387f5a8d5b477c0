"""What each augmentation does to an image, and to no other draw; and the colour matrix."""

from itertools import permutations
import zlib

from arcface_mxnet.align.template import template
from arcface_mxnet.batches.augment import APART, IN_TURN, ORDER, Augmentation
from arcface_mxnet.batches.augmentations.colors import JITTER, LUMA, jitter_matrix
from arcface_mxnet.batches.augmentations.covering import ERASE_ASPECT
from arcface_mxnet.batches.augmentations.moves import rotated
from arcface_mxnet.batches.augmentations.sharpness import blurred, coarse, line_kernel, smeared
from arcface_mxnet.batches.augmentations.worn import bespectacled, masked
from arcface_mxnet.config import AugmentationConfig
import cv2
import numpy as np
import pytest

NEW = [name for name in ORDER if name not in IN_TURN]


@pytest.fixture(scope="module")
def face():
    """Return a crop of 112x112 with detail of every size, RGB uint8."""
    rng = np.random.default_rng(8)
    layers = [cv2.resize(rng.normal(0, 45, (n, n, 3)), (112, 112)) for n in (5, 20, 112)]
    return np.clip(128 + sum(layers), 0, 255).astype(np.uint8)


def changed(image, seed=0, **options):
    augmentation = Augmentation(AugmentationConfig(**{"rand_mirror": 0, **options}))
    return augmentation(image, np.random.default_rng(seed))


def test_there_are_those_that_users_ask_for():
    assert set(NEW) == {
        "mask", "glasses", "rotate", "grey", "blur", "motion_blur", "low_res", "jpeg", "erase",
    }  # fmt: skip


@pytest.mark.parametrize("name", NEW)
def test_a_share_of_the_images_is_changed(face, name):
    for share, least, most in ((0.0, 0, 0), (0.3, 30, 62), (1.0, 150, 150)):
        results = [changed(face, seed, **{name: share}) for seed in range(150)]
        assert all(result.dtype == np.uint8 and result.shape == face.shape for result in results)
        assert least <= sum(not np.array_equal(face, result) for result in results) <= most


@pytest.mark.parametrize("name", NEW)
def test_what_the_published_ones_draw_stays(face, name):
    """Even where it makes a change, the others come out as on an image that had it already."""
    published = {"rand_mirror": 1, "rand_shift": 3, "color": 1, "cutoff": 30}
    rows = {"mask": slice(0, 30), "glasses": slice(100, 112), "erase": slice(0, 112)}
    for seed in range(30):
        before = changed(face, seed, **published)
        after = changed(face, seed, **published, **{name: 1.0})
        if name in rows:  # covers a part alone, and the mean grey shifts the rest a little
            part = np.abs(before - after)[rows[name]]
            assert (part < 12).mean() > 0.5
        blanked = (before == 128).all(axis=2)
        if blanked.sum() > 100 and name != "erase":
            assert (after[blanked] == 128).all(), "the square lies where it lay"
        generator = np.random.default_rng(seed)
        Augmentation(AugmentationConfig(**published, **{name: 1.0}))(face, generator)
        alone = np.random.default_rng(seed)
        Augmentation(AugmentationConfig(**published))(face, alone)
        assert generator.random() == alone.random(), "the same numbers were taken in turn"


@pytest.mark.parametrize("name", NEW)
def test_each_draws_from_a_place_of_its_own(face, name):
    """Whatever else is on; the place follows from the name alone, so it is the next version's."""
    rng = np.random.default_rng(5)
    rng.bit_generator.advance((zlib.crc32(name.encode()) + 1) << APART)
    first = rng.random()
    for share, is_changed in ((first - 1e-9, False), (first + 1e-9, True)):
        others = {other: 1e-12 for other in NEW if other != name}
        result = changed(face, 5, **{name: share}, **others)
        assert is_changed == (not np.array_equal(result, face))


def test_the_same_seed_gives_the_same_and_another_does_not(face):
    every = dict.fromkeys(NEW, 0.7) | {"color": 2, "rand_shift": 2, "cutoff": 20}
    first, again, other = (changed(face, seed, **every) for seed in ([1, 2], [1, 2], [1, 3]))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_colour_matrix_is_the_three_changes_in_any_order(face, order):
    """Against the changes one after the other in float64, as published."""
    weights = np.random.default_rng(sum(order)).uniform(1 - JITTER, 1 + JITTER, 3)
    luma = np.array([0.299, 0.587, 0.114])
    expected = face.astype(np.float64)
    for change in order:
        weight, grey = weights[change], expected @ luma
        other = (0, grey.mean(), grey[..., None])[change]
        expected = weight * expected + (1 - weight) * other
    result = cv2.transform(face.astype(np.float32), jitter_matrix(*weights, cv2.mean(face)))
    assert np.abs(result - expected).max() < 1e-4
    assert LUMA.dtype == np.float32
    assert result.max() > 255.01 or result.min() < -0.01, "nothing is clipped"


@pytest.mark.parametrize("size", [8, 16, 24, 112])
def test_a_low_resolution_keeps_so_many_pixels(face, size):
    result = coarse(face, size)
    small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    again = cv2.resize(result, (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(result.astype(float).mean() - face.mean()) < 1.5
    if size == 112:
        assert np.array_equal(result, face)
    else:
        assert np.abs(small.astype(float) - again).mean() < np.abs(small - small.mean()).mean() / 2
        # Between two small pixels the large ones lie on a line.
        columns = result[:, 112 // size : -(112 // size)].astype(float)
        assert np.abs(np.diff(columns, 2, axis=1)).mean() < 4
        assert np.abs(np.diff(face.astype(float), 2, axis=1)).mean() > 40


def test_low_resolutions_reach_both_ends_of_the_range(face):
    sizes = range(16, 25)
    known = {coarse(face, size).tobytes(): size for size in sizes}
    found = [known[changed(face, seed, low_res=1.0).tobytes()] for seed in range(150)]
    assert set(found) == set(sizes)
    only = changed(face, 3, low_res=1.0, low_res_size=(9,))
    assert np.array_equal(only, coarse(face, 9))


@pytest.mark.parametrize(("length", "degrees"), [(1, 0), (5, 0), (7, 90), (9.5, 45), (15, 160)])
def test_the_line_of_a_movement(length, degrees):
    kernel = line_kernel(length, degrees)
    middle = len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-6) and kernel.min() >= 0
    y, x = np.mgrid[: len(kernel), : len(kernel)] - middle
    assert abs((kernel * x).sum()) < 1e-6 and abs((kernel * y).sum()) < 1e-6, "centred"
    along = x * np.cos(np.radians(degrees)) - y * np.sin(np.radians(degrees))
    across = x * np.sin(np.radians(degrees)) + y * np.cos(np.radians(degrees))
    assert (kernel * across**2).sum() < 0.5
    assert (kernel * along**2).sum() == pytest.approx((length - 1) ** 2 / 12, abs=0.6 + length / 20)


def test_blurs_keep_the_mean_and_take_detail(face):
    for result in (blurred(face, 2.0), smeared(face, 9, 30)):
        assert abs(result.astype(float).mean() - face.mean()) < 1
        assert np.diff(result.astype(float), axis=0).std() < np.diff(face, axis=0).std() / 2
    still = np.full((112, 112, 3), 77, np.uint8)
    assert np.array_equal(blurred(still, 3.0), still) and np.array_equal(
        smeared(still, 9, 7), still
    )


def test_grey_is_the_luma_in_all_three(face):
    result = changed(face, grey=1.0)
    assert (result == result[..., :1]).all()
    assert np.abs(result[..., 0] - face @ LUMA).max() < 1.01


def test_a_turn_is_around_the_centre_either_way(face):
    dot = np.zeros((112, 112, 3), np.uint8)
    dot[50:62, 96:104] = 255  # right of the centre
    up, down = rotated(dot, 10), rotated(dot, -10)
    assert np.array_equal(rotated(face, 0), face)
    (y, _), (other, _) = (np.argwhere(r[..., 0]).mean(axis=0) for r in (up, down))
    assert y == pytest.approx(55.5 - 44 * np.sin(np.radians(10)), abs=1)
    assert other == pytest.approx(55.5 + 44 * np.sin(np.radians(10)), abs=1)
    sides = {rotated(face, degrees).tobytes() for degrees in (7, -7)}
    found = {changed(face, seed, rotate=1.0, rotate_degrees=(7.0,)).tobytes() for seed in range(20)}
    assert found == sides


@pytest.mark.parametrize("top", [0.25, 0.6])
def test_a_mask_covers_the_mouth_and_leaves_the_eyes(face, top):
    result = masked(face, top, np.array([10, 200, 90]))
    is_same = (result == face).all(axis=2)
    left_eye, right_eye, nose, left_mouth, right_mouth = template().round().astype(int)
    for x, y in (left_mouth, right_mouth, (56, 105)):
        assert not is_same[y - 3 : y + 4, x - 3 : x + 4].any()
    for x, y in (left_eye, right_eye):
        assert is_same[y - 12 : y + 7, x - 12 : x + 13].all()
    assert is_same[nose[1], nose[0]] == (top > 0.5)


def test_glasses_lie_on_the_eyes_and_are_as_dark_as_said(face):
    frame = np.array([20, 20, 20])
    clear, tinted, black = (bespectacled(face, tint, frame, 1.0) for tint in (0.0, 0.5, 1.0))
    for x, y in template()[:2].round().astype(int):
        around = slice(y - 5, y + 6), slice(x - 5, x + 6)
        assert np.array_equal(clear[around], face[around])
        assert (black[around] < 20).all()
        assert np.abs(tinted[around] - face[around] / 2).max() < 9
    for result in (clear, tinted, black):
        assert not np.array_equal(result[40:66], face[40:66])
        assert np.array_equal(result[72:], face[72:]) and np.array_equal(result[:30], face[:30])


@pytest.mark.parametrize(("shape", "is_known"), [
    ((112, 96), True), ((56, 56), True), ((224, 192), True), ((112, 100), False),
])  # fmt: skip
def test_what_is_worn_wants_aligned_crops(shape, is_known):
    crop = np.full((*shape, 3), 90, np.uint8)
    for option in ("mask", "glasses"):
        if is_known:
            assert not np.array_equal(changed(crop, **{option: 1.0}), crop)
        else:
            with pytest.raises(ValueError, match=f"--{option}.*112x100 .*112:112 or 112:96"):
                changed(crop, **{option: 1.0})


def test_a_rectangle_of_one_colour_has_the_area_that_was_asked_for(face):
    shares, aspects = [], []
    for seed in range(200):
        result = changed(face, seed, erase=1.0, erase_area=(0.1, 0.2))
        places = np.argwhere((result != face).any(axis=2))
        (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0) + 1
        assert len(np.unique(result[top:bottom, left:right].reshape(-1, 3), axis=0)) == 1
        shares.append((bottom - top) * (right - left) / 112**2)
        aspects.append((bottom - top) / (right - left))
    assert 0.095 < min(shares) < 0.11 and 0.19 < max(shares) < 0.205
    assert ERASE_ASPECT[0] * 0.95 < min(aspects) < 0.4 and 2.5 < max(aspects) < 3.5


def test_jpeg_qualities_are_those_of_the_range(face, monkeypatch):
    from arcface_mxnet.batches.augmentations import colors

    qualities = []
    monkeypatch.setattr(colors, "recompress", lambda image, q: qualities.append(q) or image)
    for seed in range(100):
        changed(face, seed, jpeg=1.0, jpeg_quality=(30, 34))
    assert set(qualities) == {30, 31, 32, 33, 34}


@pytest.mark.parametrize(("options", "message"), [
    ({"low_res": 1.5}, r"--low-res 1\.5: must be at most 1"),
    ({"mask": -0.1}, r"--mask -0\.1: must be at least 0"),
    ({"blur": float("nan")}, "--blur nan: must be a finite number"),
    ({"low_res": 1.0, "low_res_size": (24, 16)}, "--low-res-size 24,16: give LOW,HIGH, or one"),
    ({"low_res": 1.0, "low_res_size": ()}, "--low-res-size .*from 2 to 1000, LOW the lower"),
    ({"low_res": 1.0, "low_res_size": (1, 9)}, "--low-res-size 1,9: .*from 2 to 1000"),
    ({"low_res": 1.0, "low_res_size": (4, 5, 6)}, "--low-res-size 4,5,6: give LOW,HIGH"),
    ({"blur": 1.0, "blur_sigma": (1.0, float("nan"))}, "--blur-sigma 1.0,nan: give LOW,HIGH"),
    ({"jpeg": 1.0, "jpeg_quality": (0, 50)}, "--jpeg-quality 0,50: .*from 1 to 100"),
    ({"low_res_size": (8, 9)}, "--low-res-size 8,9: only --low-res uses it; give that too"),
])  # fmt: skip
def test_what_is_out_of_range_is_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        AugmentationConfig(**options)
    assert len(str(caught.value).splitlines()) == 1

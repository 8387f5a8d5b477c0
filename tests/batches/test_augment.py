"""Augmentation against loops written from the published description."""

from dataclasses import dataclass, fields

from arcface_mxnet.batches import augment
from arcface_mxnet.batches.augment import (
    AUGMENTATIONS,
    FILL,
    JITTER,
    ORDER,
    Augmentation,
    blanked,
    jittered,
    ranges_of,
    shifted,
)
from arcface_mxnet.batches.augmentations import colors
from arcface_mxnet.batches.recompress import recompress
from arcface_mxnet.config import AugmentationConfig, TrainConfig
from arcface_mxnet.flags import option
import numpy as np
import pytest


@pytest.fixture
def image():
    return np.random.default_rng(5).integers(0, 256, (12, 10, 3), np.uint8)


def chosen(**options):
    return Augmentation(AugmentationConfig(**{"rand_mirror": 0, **options}))


def test_every_option_of_the_group_is_an_augmentation_and_the_other_way_round():
    assert set(AUGMENTATIONS.names()) == set(ORDER)
    ranges = {name for change in ORDER for name in ranges_of(AUGMENTATIONS[change])}
    assert {f.name for f in fields(AugmentationConfig)} == ranges | set(ORDER)
    for change in ORDER:
        for name in ranges_of(AUGMENTATIONS[change]):
            assert AugmentationConfig.__dataclass_fields__[name].metadata["of"] == change
    assert ORDER == (
        "mask", "glasses", "rotate", "rand_mirror", "rand_shift", "grey", "blur", "motion_blur",
        "low_res", "jpeg", "color", "cutoff", "erase",
    )  # fmt: skip


@pytest.mark.parametrize("options", [
    {"rand_mirror": 1, "rand_shift": 3, "color": 2, "cutoff": 5},
    {"rand_mirror": 1, "color": 1, "cutoff": 6},
    {"rand_shift": 2, "color": 2},
])  # fmt: skip
def test_order_and_draws_are_the_published_ones(image, options):
    """Against the changes written one after the other: the same draws, the same bytes."""
    given = {"rand_mirror": 0, "rand_shift": 0, "color": 0, "cutoff": 0, **options}
    for seed in range(60):
        rng, expected = np.random.default_rng(seed), image
        if given["rand_mirror"] and rng.random() < 0.5:
            expected = expected[:, ::-1]
        if given["rand_shift"]:
            most = given["rand_shift"]
            expected = shifted(expected, *rng.integers(-most, most, 2, endpoint=True))
        if given["color"] == 2 and rng.random() < 0.5:
            quality = int(rng.integers(2, 20, endpoint=True))
            expected = recompress(np.ascontiguousarray(expected), quality)
        if given["color"]:
            expected = jittered(expected, rng)
        if given["cutoff"] and rng.random() < 0.5:
            y, x = rng.integers(expected.shape[:2])
            expected = blanked(expected, int(y), int(x), given["cutoff"])
        result = chosen(**options)(image, np.random.default_rng(seed))
        assert result.dtype == expected.dtype
        assert result.tobytes() == expected.tobytes()


def test_a_new_one_is_a_function_an_entry_and_a_field(image, monkeypatch):
    """The field's place in the group is its place in the order; 0 leaves it out."""
    monkeypatch.setattr(augment, "ORDER", (*ORDER, "rand_black"))
    monkeypatch.setattr(AUGMENTATIONS, "_entries", dict(AUGMENTATIONS._entries))

    @AUGMENTATIONS.register("rand_black")
    def black(image, rng, share):
        return image * (rng.random() >= share)

    @dataclass(frozen=True)
    class More(TrainConfig):
        rand_black: float = option(0.0, "share of images made black", at_least=0, at_most=1)

    rng = np.random.default_rng
    assert not Augmentation(More(rand_mirror=0)).is_random
    assert not Augmentation(More(rand_black=1.0))(image, rng(0)).any()
    with pytest.raises(ValueError, match=r"--rand-black 1\.5: must be at most 1"):
        More(rand_black=1.5)


def test_nothing_chosen_changes_nothing(image):
    augmentation = Augmentation()
    assert not augmentation.is_random
    assert augmentation(image, np.random.default_rng(0)) is image


def test_half_are_mirrored(image):
    mirrored = 0
    for seed in range(400):
        result = chosen(rand_mirror=1)(image, np.random.default_rng(seed))
        is_mirrored = np.array_equal(result, image[:, ::-1])
        assert is_mirrored or np.array_equal(result, image)
        mirrored += is_mirrored
    assert 160 < mirrored < 240


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -2), (-4, 1), (20, 20)])
def test_a_shift_repeats_the_edge(image, down, right):
    result = shifted(image, down, right)
    for y in range(12):
        for x in range(10):
            source = image[min(max(y - down, 0), 11), min(max(x - right, 0), 9)]
            assert np.array_equal(result[y, x], source)


def test_shifts_reach_both_ends(image):
    seen = set()
    for seed in range(300):
        result = chosen(rand_shift=1)(image, np.random.default_rng(seed))
        seen |= {
            (down, right)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if np.array_equal(result, shifted(image, down, right))
        }
    assert len(seen) == 9


@pytest.mark.parametrize("side", [4, 5, 6])
@pytest.mark.parametrize(("y", "x"), [(0, 0), (6, 5), (11, 9), (2, 8)])
def test_the_blanked_square(image, side, y, x):
    """As published: from centre - side // 2 to centre + side // 2, clipped at the edges."""
    assert FILL == 128
    before = image.copy()
    result = blanked(image, y, x, side)
    half = side // 2
    for row in range(12):
        for column in range(10):
            inside = y - half <= row < y + half and x - half <= column < x + half
            assert np.array_equal(result[row, column], [FILL] * 3 if inside else image[row, column])
    assert np.array_equal(image, before), "the decoded image itself stays"


def test_half_get_a_square(image):
    results = [chosen(cutoff=6)(image, np.random.default_rng(seed)) for seed in range(400)]
    assert 160 < sum(not np.array_equal(result, image) for result in results) < 240


class Draws:
    """Stands for a Generator with known numbers."""

    def __init__(self, order, weights):
        self.order, self.weights = order, iter(weights)

    def permutation(self, count):
        return self.order

    def random(self, count):
        return np.array([(next(self.weights) + JITTER) / (2 * JITTER) for _ in range(count)])


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_jitter_is_that_of_mxnet(image, order):
    """Against mx.image's own three jitters with the same weights, in float32, unclipped."""
    mx = pytest.importorskip("mxnet")
    weights = [0.11, -0.12, 0.09]
    expected = mx.nd.array(image.astype(np.float32))
    jitters = [
        mx.image.BrightnessJitterAug,
        mx.image.ContrastJitterAug,
        mx.image.SaturationJitterAug,
    ]
    for change, weight in zip(order, weights, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("random.uniform", lambda low, high, weight=weight: weight)
            expected = jitters[change](JITTER)(expected)
    result = jittered(image, Draws(order, weights))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected.asnumpy(), rtol=1e-4, atol=1e-3)
    assert result.max() > 255 or result.min() < 0, "as published, nothing is clipped"


def test_recompression_comes_first_in_half_with_qualities_2_to_20(image, monkeypatch):
    qualities = []

    def recompress(picture, quality):
        qualities.append(quality)
        assert picture.dtype == np.uint8
        return picture

    monkeypatch.setattr(colors, "recompress", recompress)
    augmentation = chosen(color=2)
    for seed in range(600):
        result = augmentation(image, np.random.default_rng(seed))
        assert result.dtype == np.float32
    assert 240 < len(qualities) < 360
    assert set(qualities) == set(range(2, 21))


def test_the_same_seed_gives_the_same_image(image):
    augmentation = chosen(rand_mirror=1, rand_shift=3, cutoff=5, color=1)
    first, again, other = (
        augmentation(image, np.random.default_rng(seed)) for seed in ([1, 2], [1, 2], [1, 3])
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)

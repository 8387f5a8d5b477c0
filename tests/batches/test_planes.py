"""The compiled last step against what it is said to do, and what happens without a compiler."""

from dataclasses import dataclass
import itertools

from arcface_mxnet import compiler
from arcface_mxnet.batches import augment, planes
from arcface_mxnet.batches.augment import AUGMENTATIONS, ORDER, Augmentation
from arcface_mxnet.batches.augmentations.colors import jitter_matrix
from arcface_mxnet.batches.augmentations.covering import FILL
from arcface_mxnet.config import AugmentationConfig
from arcface_mxnet.flags import option
import numpy as np
import pytest

ROUNDING = 1e-3  # of 255: sums of four float32
WEIGHTS = (1.11, 0.88, 1.09)
SIZES = [(1, 1), (1, 9), (9, 1), (5, 3), (12, 10), (7, 65), (112, 96), (112, 112), (133, 151)]


def compiled():
    return compiler.load_cached(planes.RECIPE, planes.Compiled)


@pytest.fixture(params=[planes.Plain, compiled])
def way(request):
    """Return each way in turn."""
    try:
        return request.param()
    except compiler.BuildError as error:
        pytest.skip(str(error))


def views(rng, height, width):
    """Return images of one size that lie in memory in every way."""
    wide = rng.integers(0, 256, (height + 4, width + 6, 3), np.uint8)
    image = wide[2 : 2 + height, 3 : 3 + width]
    return [
        np.ascontiguousarray(image), image, image[:, ::-1], image[::-1],
        np.asfortranarray(image), image[..., ::-1],
    ]  # fmt: skip


def written(way, image, *args):
    """Return planes that lie in the middle of others, which must stay as they are."""
    batch = np.full((3, 3, *image.shape[:2]), -7, np.float32)
    way.write(image, batch[1], *args)
    assert (batch[::2] == -7).all()
    return batch[1]


@pytest.mark.parametrize("size", SIZES)
def test_without_colours_every_bit_is_the_image_s(way, size):
    for image in views(np.random.default_rng(0), *size):
        before = image.copy()
        assert np.array_equal(written(way, image), image.transpose(2, 0, 1))
        corner = size[0] - 1, size[1] - 1
        for y, x, side in ((0, 0, 1), (0, 0, 5), (*corner, 6), (0, 2, 300), (*corner, 2**64 - 2)):
            expected = image.transpose(2, 0, 1).astype(np.float32)
            rows, columns = np.mgrid[: size[0], : size[1]]
            low, high = -(side // 2), side // 2
            inside = (rows - y >= low) & (rows - y < high) & (columns - x >= low)
            expected[:, inside & (columns - x < high)] = FILL
            assert np.array_equal(written(way, image, None, (y, x, side)), expected)
        assert np.array_equal(image, before), "the decoded image itself stays"


@pytest.mark.parametrize("size", SIZES)
def test_colours_are_the_matrix_on_the_mean_of_the_whole_image(way, size):
    for image in [*views(np.random.default_rng(1), *size), np.full((*size, 3), 255, np.uint8)]:
        matrix = jitter_matrix(*WEIGHTS, image.mean((0, 1))).astype(np.float64)
        expected = (image @ matrix[:, :3].T + matrix[:, 3]).transpose(2, 0, 1)
        result = written(way, image, WEIGHTS)
        np.testing.assert_allclose(result, expected, rtol=0, atol=ROUNDING)
        covered = written(way, image, WEIGHTS, (0, 0, 4))
        assert (covered[:, :2, :2] == FILL).all(), "the square comes after the colours"
        covered[:, :2, :2] = result[:, :2, :2]
        assert np.array_equal(covered, result)


@pytest.mark.parametrize("make", [planes.Plain, compiled])
@pytest.mark.parametrize("size", [(12, 10), (33, 47)])
def test_what_is_written_is_what_a_call_returns(monkeypatch, make, size):
    """Whatever is chosen, to the last bit where the colours stay, and drawn alike to the end."""
    try:
        way = make()
    except compiler.BuildError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(augment, "fastest", lambda: way)
    image = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    choices = {
        "rand_mirror": (0, 1), "rand_shift": (0, 3), "grey": (0.0, 0.5), "color": (0, 1, 2),
        "cutoff": (0, 5), "erase": (0.0, 0.7),
    }  # fmt: skip
    for values in itertools.product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        augmentation = Augmentation(AugmentationConfig(**options))
        for seed in range(4):
            one, other = np.random.default_rng(seed), np.random.default_rng(seed)
            expected = augmentation(image, one).transpose(2, 0, 1)
            found = np.full((3, *size), -7, np.float32)
            augmentation.write(image, other, found)
            tolerance = ROUNDING if options["color"] else 0
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=options)
            assert one.bit_generator.state == other.bit_generator.state


def test_one_pass_writes_colours_and_square_but_not_what_comes_before_an_erasure(monkeypatch):
    calls = []

    class Told(planes.Plain):
        def write(self, image, out, weights=None, square=None):
            calls.append((image.dtype, weights is not None, square is not None))
            super().write(image, out, weights, square)

    monkeypatch.setattr(augment, "fastest", Told)
    image, out = np.zeros((8, 8, 3), np.uint8), np.empty((3, 8, 8), np.float32)
    for options in ({"color": 1, "cutoff": 4}, {"cutoff": 4, "erase": 1.0}, {}):
        Augmentation(AugmentationConfig(**options)).write(image, np.random.default_rng(3), out)
    assert calls == [(np.uint8, True, True), (np.uint8, False, False), (np.uint8, False, False)]


@pytest.mark.parametrize(("change", "expected"), [
    (lambda image, rng, value: image[1:], "(7, 8, 3) does not go into planes of (3, 8, 8)"),
    (lambda image, rng, value: image[..., :1], "(8, 8, 1) does not go into planes of (3, 8, 8)"),
    (lambda image, rng, value: image / 2, None),
])  # fmt: skip
def test_an_augmentation_of_ones_own_may_give_floats_but_not_another_size(
    monkeypatch, change, expected
):
    monkeypatch.setattr(augment, "ORDER", ("own", *ORDER))
    monkeypatch.setattr(AUGMENTATIONS, "_entries", {**AUGMENTATIONS._entries, "own": change})

    @dataclass(frozen=True)
    class More(AugmentationConfig):
        own: int = option(0, "whatever it does")

    image, out = np.full((8, 8, 3), 9, np.uint8), np.empty((3, 8, 8), np.float32)
    rng = np.random.default_rng(0)
    if expected:
        with pytest.raises(ValueError, match="an augmentation must keep the size") as error:
            Augmentation(More(own=1)).write(image, rng, out)
        assert expected in str(error.value)
    else:
        Augmentation(More(own=1)).write(image, rng, out)
        assert (out == 4.5).all()
        Augmentation(More(own=1, color=1)).write(image, rng, out)
        assert (out != 4.5).all(), "colours after it are not forgotten"


def test_planes_that_do_not_lie_together_are_refused():
    image, wide = np.zeros((8, 8, 3), np.uint8), np.empty((3, 8, 9), np.float32)
    with pytest.raises(ValueError, match="planes"):
        Augmentation().write(image, None, wide[:, :, :8])


def test_without_a_compiler_opencv_is_taken_and_it_is_said(monkeypatch, tmp_path, caplog):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(planes.fastest.__wrapped__(), planes.Plain)
    (record,) = caplog.records
    message = "loading: with OpenCV, slower than compiled, because: no C++ compiler found"
    assert record.getMessage().startswith(message)


def test_it_is_decided_once():
    assert planes.fastest() is planes.fastest()

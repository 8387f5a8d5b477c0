from arcface_mxnet.align.crop import align_face, crop_box
from arcface_mxnet.align.template import template
import numpy as np
import pytest


def spots(points, shape=(240, 320)):
    """Return a black image with a bright pixel patch at each (x, y)."""
    image = np.zeros(shape, np.uint8)
    for x, y in np.rint(points).astype(int):
        image[y - 4 : y + 5, x - 4 : x + 5] = 255
    return image


@pytest.mark.parametrize("size", [(112, 112), (112, 96)])
def test_landmarks_land_on_the_template(size):
    landmarks = np.rint(template(size) * 2 + (30, 5))
    crop = align_face(spots(landmarks), landmarks, size)
    assert crop.shape == size
    for x, y in np.rint(template(size)).astype(int):
        assert crop[y, x] > 200
    assert (crop > 0).mean() < 0.02


def test_keeps_dtype_and_channels_and_pads_with_black():
    image = np.full((60, 60, 3), 9, np.uint16)
    crop = align_face(image, template() - 40)
    assert crop.shape == (112, 112, 3) and crop.dtype == np.uint16
    assert crop[0, 0].tolist() == [0, 0, 0] and crop[60, 60].tolist() == [9, 9, 9]


def test_giants_are_cropped_like_others():
    """cv2.warpAffine takes no side beyond 32766."""
    landmarks = np.rint(template() * 2 + (30, 5))
    small = spots(landmarks)
    wide, high = np.pad(small, ((0, 0), (35000, 200))), np.pad(small, ((35000, 200), (0, 0)))
    for giant, shift in ((wide, (35000, 0)), (high, (0, 35000))):
        assert np.array_equal(align_face(giant, landmarks + shift), align_face(small, landmarks))


def test_box_is_widened_by_half_the_margin_and_clipped():
    image = np.zeros((200, 200), np.uint8)
    image[:122, 28:122] = 255  # exactly the box below, widened and clipped at the top
    assert crop_box(image, (50, 10, 100, 100)).min() == 255
    assert crop_box(image, (50, 10, 101, 100)).min() == 0


def test_without_a_box_takes_the_centre():
    image = np.zeros((128, 128), np.uint8)
    image[8:120, 8:120] = 255  # a sixteenth cut on each side
    assert crop_box(image, margin=0).min() == 255
    image[8] = 0
    assert crop_box(image, margin=0)[0].max() == 0


def test_a_box_outside_the_image_is_refused():
    with pytest.raises(ValueError, match="box .* lies outside the image 50x40"):
        crop_box(np.zeros((40, 50)), (90, 0, 120, 30))


@pytest.mark.parametrize("shift", [(40_000, 0), (0, 40_000), (-50_000, 0), (1e9, 1e9)])
def test_landmarks_far_outside_are_refused(shift):
    with pytest.raises(ValueError, match="landmarks around .* are no face of an image of 60x50"):
        align_face(np.zeros((50, 60, 3), np.uint8), template() + shift)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0), (0, 0)])
def test_an_empty_image_is_refused(shape):
    with pytest.raises(ValueError, match="landmarks around .* are no face"):
        align_face(np.zeros(shape, np.uint8), template())


@pytest.mark.parametrize("box", [(np.nan, 0, 9, 9), (0, 0, np.inf, 9)])
def test_a_box_of_no_numbers_is_refused(box):
    with pytest.raises(ValueError, match="box .* not finite"):
        crop_box(np.zeros((40, 50), np.uint8), box)

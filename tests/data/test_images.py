from arcface_mxnet.data.images import (
    AS_STORED,
    GREY,
    as_bgr,
    decode_bgr,
    decode_rgb,
    read_image,
)
import cv2
import numpy as np
from PIL import Image
import pytest


def half_red(height=20, width=30):
    """Return RGB, left half red, right half black."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 255
    return image


@pytest.mark.parametrize(
    "orientation, shape, red",
    [(1, (20, 30), (10, 2)), (3, (20, 30), (10, 27)), (6, (30, 20), (2, 10))],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_orientation_is_obeyed(tmp_path, orientation, shape, red, suffix):
    path, exif = tmp_path / f"photo{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(half_red()).save(path, exif=exif, quality=95)
    bgr = read_image(path)
    assert bgr.shape == (*shape, 3)
    assert bgr[red][2] > 200 and bgr[red][0] < 60  # red is the last channel
    assert bgr[shape[0] - 1 - red[0], shape[1] - 1 - red[1]].max() < 60


@pytest.mark.parametrize(
    "stored, expected",
    [
        (np.full((5, 7), 200, np.uint8), 200),
        (np.full((5, 7), 200 * 256, np.uint16), 200),
        (np.full((5, 7, 4), 200, np.uint8), 200),
        (np.full((5, 7, 3), 200 * 256 + 9, np.uint16), 200),
    ],
)
def test_grey_rgba_and_16_bit_files_and_arrays(tmp_path, stored, expected):
    path = tmp_path / "image.png"
    assert cv2.imwrite(str(path), stored)
    for bgr in (read_image(path), as_bgr(stored)):
        assert bgr.shape == (5, 7, 3) and bgr.dtype == np.uint8
        assert bgr.min() == bgr.max() == expected


def test_a_name_beyond_ascii_is_read(tmp_path):
    path = tmp_path / "фото ü.png"
    path.write_bytes(cv2.imencode(".png", half_red())[1].tobytes())
    assert read_image(path).shape == (20, 30, 3)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff\xe0" + b"0" * 50])
def test_what_is_no_image_is_refused_by_name(tmp_path, data):
    path = tmp_path / "broken.jpg"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"broken.jpg: .*decode"):
        read_image(path)


def test_an_image_too_large_to_decode_is_refused():
    bomb = b"P5\n2000000000 2000000000\n255\n" + b"0" * 99
    with pytest.raises(ValueError, match="bomb.pgm"):
        decode_bgr(bomb, "bomb.pgm")


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (np.zeros(4, np.uint8), r"\(4,"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        as_bgr(array)


def test_rgb_is_bgr_turned_round(tmp_path):
    data = cv2.imencode(".png", half_red()[..., ::-1])[1].tobytes()
    assert np.array_equal(decode_rgb(data), half_red())
    assert np.array_equal(decode_bgr(data), half_red()[..., ::-1])


def test_grey_and_as_stored():
    deep = np.full((5, 7, 4), 200 * 256, np.uint16)
    data = cv2.imencode(".png", deep)[1].tobytes()
    grey = decode_bgr(data, mode=GREY)
    assert grey.shape == (5, 7) and grey.dtype == np.uint8
    assert np.array_equal(decode_bgr(data, mode=AS_STORED), deep)


@pytest.mark.parametrize("decode", [decode_bgr, decode_rgb])
def test_a_message_ends_with_the_cure(decode):
    with pytest.raises(ValueError, match=r"^record 7: 4 bytes that are no image .*; pack again$"):
        decode(b"junk", "record 7", cure="pack again")
    with pytest.raises(ValueError, match="can decode$"):
        decode(b"junk")

import io

from arcface_mxnet.data.images import (
    AS_STORED,
    GREY,
    as_bgr,
    decode_bgr,
    decode_reduced,
    decode_rgb,
    fit_height,
    read_image,
)
import cv2
import numpy as np
from PIL import Image, ImageOps
import pytest


def half_red(height=20, width=30):
    """Return RGB, left half red, right half black."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 255
    return image


SAVED = {
    "jpeg": ("JPEG", {"quality": 95}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 95}),
    "webp lossless": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
}


def saved(image, kind, orientation=None, **options):
    """Return the bytes of an image, and with them the image as Pillow reads it, upright."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation or 1
    if orientation and kind == "TIFF":
        options["tiffinfo"] = {0x0112: orientation}
    elif orientation:
        options["exif"] = exif
    image.save(file, kind, **options)
    return file.getvalue(), ImageOps.exif_transpose(Image.open(file))


TURNS = [*range(1, 9), 0, 9, 65535]  # no library writes a TIFF with the last three


@pytest.mark.parametrize(
    ("name", "orientation"),
    [(name, turn) for name in SAVED for turn in TURNS[: 8 if "tiff" in name else None]],
)
@pytest.mark.parametrize("kind", ["RGB", "L"])
def test_exif_orientation_is_obeyed(name, kind, orientation):
    form, options = SAVED[name]
    photo = Image.fromarray(half_red()).convert(kind)
    data, expected = saved(photo, form, orientation, **options)
    expected = np.asarray(expected.convert("RGB"))[..., ::-1]
    assert np.array_equal(decode_bgr(data), expected)
    assert decode_bgr(data, mode=GREY).shape == expected.shape[:2]
    reduced, size = decode_reduced(data, long_side=100)
    assert np.array_equal(reduced, expected) and size == expected.shape[:2]
    if form != "TIFF":
        assert decode_bgr(data, mode=AS_STORED).shape[:2] == (20, 30)


@pytest.mark.parametrize(
    "kind, form, tolerance",
    [
        ("CMYK", "JPEG", 1),
        ("CMYK", "TIFF", 0),
        ("P", "PNG", 0),
        ("P", "BMP", 0),
        ("P", "TIFF", 0),
        ("1", "PNG", 0),
        ("1", "PPM", 0),
        ("1", "TIFF", 0),
        ("1", "BMP", 0),
        ("LA", "PNG", 0),
        ("RGBA", "PNG", 0),
        ("RGBA", "WEBP", 0),
        ("RGBA", "BMP", 0),
        ("YCbCr", "JPEG", 0),
        ("RGB", "JPEG2000", 0),
    ],
)
def test_kinds_of_colour_are_what_another_reader_makes_of_them(kind, form, tolerance):
    rgb = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8), (60, 40))
    photo = Image.fromarray(rgb).convert(kind)
    if kind.endswith("A"):
        photo.putalpha(Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))))
    data, expected = saved(photo, form)
    expected = np.asarray(expected.convert("RGB"))[..., ::-1].astype(int)
    assert np.abs(decode_bgr(data) - expected).max() <= tolerance
    assert expected.std() > 20


def test_a_large_image_is_reduced_and_told_in_its_own_pixels():
    rgb = np.zeros((900, 1300, 3), np.uint8)
    rgb[:, :650, 0] = 255
    for form, orientation, sides in (("JPEG", 1, (69, 100)), ("PNG", 6, (100, 69))):
        data, upright = saved(Image.fromarray(rgb), form, orientation)
        bgr, size = decode_reduced(data, long_side=100)
        assert bgr.shape == (*sides, 3) and size == upright.size[::-1]
        expected = cv2.resize(np.asarray(upright)[..., ::-1], sides[::-1], cv2.INTER_AREA)
        assert np.abs(bgr.astype(int) - expected).mean() < 4
    with pytest.raises(ValueError, match="^big: .*at most 1000 are"):
        decode_reduced(data, "big", long_side=100, max_pixels=1000)


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


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"quality": 20}])
def test_rgb_is_bgr_turned_round_in_every_jpeg(mode, how):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image.fromarray(cv2.resize(pixels, (61, 47))).convert(mode)
    for orientation in (1, 2, 6):
        exif, file = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        image.save(file, "JPEG", exif=exif, **how)
        rgb = decode_rgb(file.getvalue())
        assert np.array_equal(rgb, decode_bgr(file.getvalue())[..., ::-1])
        assert rgb.shape == ((61, 47, 3) if orientation == 6 else (47, 61, 3))
        assert mode != "RGB" or (rgb[..., 0] != rgb[..., 2]).any()


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


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1), (3, 2), (1, 1)])
def test_nothing_is_resized_to_a_size_that_would_be_refused(shape, monkeypatch):
    monkeypatch.setattr(cv2, "resize", lambda *_, **__: pytest.fail("resized"))
    with pytest.raises(ValueError, match="^it: is .* resizing, not 96x112; give --image"):
        fit_height(np.zeros((*shape, 3), np.uint8), (112, 96), "it")
    with pytest.raises(ValueError, match="not 40000x40000"):
        fit_height(np.zeros((20, 20, 3), np.uint8), (40000, 40000), "it")


def test_the_limit_of_a_caller_is_kept(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((10, 10, 3), np.uint8))
    assert read_image(path, max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(ValueError, match=r"a\.png"):
        read_image(path, max_pixels=99)
    with pytest.raises(ValueError, match="b"):
        decode_rgb(path.read_bytes(), "b", max_pixels=99)

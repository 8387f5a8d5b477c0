"""The size that bytes claim is known before they are decoded, in every format that is read."""

import io
import struct

from arcface_mxnet.data.image_header import format_of, read_header
from arcface_mxnet.data.images import decode_bgr
import cv2
import numpy as np
from PIL import Image
import pytest

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
PHOTO = Image.fromarray(RGB)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(big=False, order="<", **changed):
    """Return the header of a TIFF of 30x20 pixels, 8 bit grey, with tags changed."""
    tags = {"256": 30, "257": 20, "258": 8, "262": 1, "277": 1, "278": 20} | changed
    entries = sorted((int(tag), value) for tag, value in tags.items() if value is not None)
    number, short = ("Q", "Q") if big else ("I", "H")
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    start += struct.pack(f"{order}HHQ", 8, 0, 16) if big else struct.pack(f"{order}I", 8)
    body = struct.pack(order + short, len(entries))
    for tag, value in entries:
        body += struct.pack(f"{order}HH{number}{number}", tag, 4, 1, value) if order == "<" else (
            struct.pack(f">HH{number}{number}", tag, 4, 1, value)
        )  # fmt: skip
    return start + body + bytes(64)


SEEDS = {
    "JPEG": saved(PHOTO, "JPEG"),
    "JPEG progressive": saved(PHOTO, "JPEG", progressive=True),
    "PNG": saved(PHOTO, "PNG"),
    "WebP": saved(PHOTO, "WEBP"),
    "WebP lossless": saved(PHOTO, "WEBP", lossless=True),
    "WebP alpha": saved(PHOTO.convert("RGBA").rotate(9), "WEBP"),
    "BMP": saved(PHOTO, "BMP"),
    "BMP upside down": cv2.imencode(".bmp", RGB)[1].tobytes(),
    "TIFF": saved(PHOTO, "TIFF", compression="tiff_lzw"),
    "TIFF big endian": tiff(order=">"),
    "TIFF BigTIFF": tiff(big=True),
    "GIF": saved(PHOTO, "GIF"),
    "PNM": saved(PHOTO, "PPM"),
    "PNM text": b"P2 # a comment 7 8\n30 # wide\n20\n255\n" + b"7 " * 600,
    "PNM bits": saved(PHOTO.convert("1"), "PPM"),
    "PAM": cv2.imencode(".pam", RGB[..., 0])[1].tobytes(),
    "Sun raster": cv2.imencode(".ras", RGB)[1].tobytes(),
    "JPEG 2000": saved(PHOTO, "JPEG2000"),
    "JPEG 2000 bare": saved(PHOTO, "JPEG2000", no_jp2=True),
}


@pytest.mark.parametrize("name", SEEDS)
def test_the_size_is_what_is_decoded(name):
    data = SEEDS[name]
    assert format_of(data) and name.startswith(format_of(data))
    header = read_header(data)
    assert (header.width, header.height) == (30, 20)
    assert header.load >= 600 and header.orientation == 1


@pytest.mark.parametrize("name", SEEDS)
def test_every_truncation_and_flip_is_a_header_or_a_value_error(name):
    data = SEEDS[name]
    cases = [data[:size] for size in range(min(len(data), 700))]
    for place in range(min(len(data), 200)):
        for flip in (0x01, 0x80, 0xFF):
            cases.append(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
    for case in cases:
        try:
            header = read_header(case)
        except ValueError as error:
            assert 10 < len(str(error)) < 300
        else:
            assert header is None or 1 <= header.orientation <= 8


@pytest.mark.parametrize("name", [n for n in SEEDS if n not in ("TIFF big endian", "TIFF BigTIFF")])
def test_every_truncation_and_flip_is_an_image_or_a_value_error(name):
    """Whole images: what comes out is uint8 and of the size that the header said."""
    data, rng = SEEDS[name], np.random.default_rng(1)
    cases = [data[:size] for size in range(0, len(data), max(len(data) // 60, 1))]
    for _ in range(150):
        place = int(rng.integers(len(data)))
        cases.append(data[:place] + rng.bytes(1) + data[place + 1 :])
    for case in cases:
        try:
            image = decode_bgr(case, "it")
        except ValueError as error:
            assert str(error).startswith("it: ") and len(str(error)) < 400
        else:
            assert image.dtype == np.uint8 and image.ndim == 3
            header = read_header(case)
            sides = {header.width, header.height}
            assert sides == set(image.shape[:2])


def jpeg_claiming(width, height):
    data = SEEDS["JPEG"]
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def changed(name, place, layout, *values):
    data = bytearray(SEEDS[name])
    struct.pack_into(layout, data, place, *values)
    return bytes(data)


BOMBS = {
    "JPEG": jpeg_claiming(65000, 16000),
    "JPEG progressive": SEEDS["JPEG progressive"].replace(
        struct.pack(">HH", 20, 30), struct.pack(">HH", 16000, 65000), 1
    ),
    "PNG": changed("PNG", 16, ">II", 20000, 20000),
    "PNG of 2**31": changed("PNG", 16, ">II", 2**31 - 1, 2**31 - 1),
    "WebP": changed("WebP", 26, "<HH", 16383, 16383),
    "WebP lossless": changed("WebP lossless", 21, "<I", 0xFFFFFFF),
    "WebP alpha": changed("WebP alpha", 24, "<Q", 0x0000FFFFFF00FFFF),
    "BMP": changed("BMP", 18, "<ii", 60000, -60000),
    "BMP of 2**31": changed("BMP", 18, "<ii", 2**31 - 1, 2**31 - 1),
    "BMP of OS/2": b"BM" + bytes(12) + struct.pack("<IHH", 12, 60000, 60000) + bytes(20),
    "TIFF": tiff(**{"256": 100_000, "257": 100_000}),
    "TIFF strips": tiff(**{"278": 1 << 23}),
    "TIFF tiles": tiff(**{"278": None, "322": 1 << 20, "323": 1 << 20}),
    "BigTIFF": tiff(True, **{"256": 100_000, "257": 100_000}),
    "GIF": changed("GIF", 6, "<HH", 65535, 65535),
    "PNM": b"P5\n2000000000 2000000000\n255\n" + bytes(99),
    "PNM bits": b"P4\n#\n99999 99999\n" + bytes(99),
    "PAM": SEEDS["PAM"].replace(b"WIDTH 30", b"WIDTH 9999999999"),
    "Sun raster": changed("Sun raster", 4, ">II", 60000, 60000),
    "JPEG 2000": SEEDS["JPEG 2000"].replace(
        struct.pack(">II", 30, 20), struct.pack(">II", 30000, 20000)
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_size_that_is_too_large_is_refused_before_it_is_decoded(name, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(
        ValueError, match=r"^it: .* pixels.*; at most 50000000 are decoded .*--max-pixels.*; mend$"
    ):
        decode_bgr(BOMBS[name], "it", cure="mend")


def test_the_limit_is_the_callers():
    assert decode_bgr(SEEDS["PNG"], max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(ValueError, match="30x20 = 600 pixels; at most 599 are"):
        decode_bgr(SEEDS["PNG"], max_pixels=599)


def test_scans_beyond_number_count_as_pixels():
    large = saved(Image.new("RGB", (1000, 1000)), "JPEG", progressive=True)
    assert read_header(large).load == 1_000_000
    place = large.rindex(b"\xff\xda")
    many = large[:place] + large[place:-2] * 2000 + large[-2:]
    with pytest.raises(ValueError, match="1000x1000 .* which take as long to decode as 100"):
        decode_bgr(many)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (changed("PNG", 16, ">II", 0, 20), "0 wide and 20 high"),
        (changed("BMP", 18, "<ii", -30, 20), "-30 wide"),
        (SEEDS["JPEG"][:-2], "cut off: its end is missing"),
        (SEEDS["JPEG"][:30], "cut off before its size"),
        (b"\xff\xd8\xff\xda" + bytes(20), "without a size before its pixels"),
        (b"\xff\xd8" + b"\xff\xe1\x00\x02" * 10_001 + SEEDS["JPEG"][2:], "more than 10000 segm"),
        (b"\xff\xd8" + b"\xff" * 1_000_000, "cut off before its size"),
        (b"RIFF\0\0\0\0WAVEfmt ", "no WebP"),
        (tiff(**{"258": 32}), "TIFF of 32 bit"),
        (tiff(**{"339": 3}), "floats or signed"),
        (tiff(**{"339": 2}), "floats or signed"),
        (tiff(**{"262": 8}), "photometric kind 8"),
        (tiff(**{"262": 2, "277": 4}), "4 samples a pixel, as with transparency"),
        (tiff(**{"258": 16, "262": 0}), "16 bit that is neither grey nor RGB"),
        (b"II*\0\x08\0\0\0\xff\xff" + bytes(50), "cut off in its directory"),
        (b"II*\0\xff\xff\xff\xff", "its header is cut off"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 8, "its header is cut off"),
        (b"P5\n30 20\n1023\n" + bytes(1200), "PNM whose white is 1023; .* too dark"),
        (b"P2 30 20 100 " + b"9 " * 600, "PNM whose white is 100"),
        (b"P5\n" + b"# comment\n" * 2000, "PNM without a size"),
        (b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 1\nMAXVAL 100\nENDHDR\n" + bytes(6), "white is 100"),
        (cv2.imencode(".pam", RGB)[1].tobytes(), "a PAM of colours .* whose red comes out blue"),
        (b"PF\n3 2\n-1.0\n" + bytes(72), "floats"),
        (b"Pf\n3 2\n-1.0\n" + bytes(24), "floats"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 3\n" + bytes(24), "floats"),
        (b"v/1\x01\x02\0\0\0" + bytes(50), "floats"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC image, which is not read; save it as"),
    ],
)
def test_what_is_not_read_is_refused_with_a_reason(data, reason):
    with pytest.raises(ValueError, match=f"^it: .* can decode: .*{reason}"):
        decode_bgr(data, "it")


def test_floats_that_opencv_writes_are_refused():
    image = RGB.astype(np.float32) / 255
    for ending in (".tiff", ".hdr", ".pfm"):
        data = cv2.imencode(ending, image)[1].tobytes()
        for mode in (-1, 0, 1):
            with pytest.raises(ValueError, match="floats"):
                decode_bgr(data, mode=mode)


def test_bytes_after_the_end_and_between_segments_are_passed_over():
    data = SEEDS["JPEG"]
    assert np.array_equal(decode_bgr(data + b"more"), decode_bgr(data))
    padded = data[:2] + b"\xff\xff\xff" + data[2:]
    assert read_header(padded)[:2] == (30, 20)


def test_what_is_no_image_has_no_header():
    for data in (b"", b"junk", b"<svg/>", b"P8\n1 1\n255\n", b"%PDF-1.4", b"PK\x03\x04"):
        assert read_header(data) is None and format_of(data) == ""

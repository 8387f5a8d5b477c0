"""What an encoded image says of itself before it is decoded: its size, and how it lies.

A few hundred bytes can claim to be gigabytes, so nothing is decoded whose size is not known.
Sources: ITU T.81 (JPEG), PNG 3rd edition, RFC 9649 (WebP), TIFF 6.0 and EXIF 2.32 (tiff_header.py),
netpbm's ppm(5) and pam(5), GIF89a, ISO 15444-1 annexes A and I (JPEG 2000).
"""

from __future__ import annotations

from collections.abc import Callable
import re
import struct
from typing import NamedTuple

from ..limits import shown
from .tiff_header import TIFF_STARTS, exif_orientation, read_tiff


class ImageHeader(NamedTuple):
    """width, height: as OpenCV decodes it, in pixels.  orientation: EXIF's, 1 (upright) to 8,
    still to be followed.  load: what decoding takes, in pixels of a plain image of 8 bit."""

    width: int
    height: int
    orientation: int = 1
    load: int = 0


MOST_SEGMENTS = 10_000  # of a JPEG before its size, boxes of a JPEG 2000
MOST_CHUNKS = 1 << 20  # of a PNG or WebP, that are walked for its EXIF
SCANS_FREE = 20  # of a JPEG; a progressive one has about ten.  Each takes a pass over all pixels
SMALL = 1 << 14  # pixels of a JPEG that no number of scans makes slow
JPEG2000_LOAD = 4  # its decoder keeps four bytes a sample, twice

_MARKER = re.compile(rb"\xff([\x01-\xfe])")  # what lies between two segments is passed over
_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 .. SOF15
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment


def read_header(data: bytes) -> ImageHeader | None:
    """Return what encoded bytes say of their image, None if they are of no known format.

    Raises ValueError with the reason for a format that is known and not read (floats; what would
    come out with other colours), and for a header that is damaged.
    """
    try:
        for _, start, read in _FORMATS:
            if data.startswith(start):
                return read(data)
    except (struct.error, IndexError, OverflowError):
        raise ValueError("its header is cut off") from None
    return None


def format_of(data: bytes) -> str:
    """Return the format that the first bytes tell, such as "JPEG"; "" for none that is known."""
    return next((name for name, start, _ in _FORMATS if data.startswith(start)), "")


def _jpeg(data: bytes) -> ImageHeader:
    place, orientation, size = 2, 1, len(data)
    for _ in range(MOST_SEGMENTS):
        if place + 10 > size:
            raise ValueError("a JPEG that is cut off before its size")
        marker = data[place + 1]
        if data[place] == 0xFF and 0 < marker < 0xFF:
            place += 2
        else:
            found = _MARKER.search(data, place)
            if found is None or found.end() + 8 > size:
                raise ValueError("a JPEG that is cut off before its size")
            place, marker = found.end(), found[1][0]
        if marker in _SIZES:
            break
        if marker in _ALONE:
            continue
        if marker in (0xD8, 0xD9, 0xDA):
            raise ValueError("a JPEG without a size before its pixels")
        if marker == 0xE1 and data[place + 2 : place + 8] == b"Exif\0\0":
            length = data[place] << 8 | data[place + 1]
            orientation = exif_orientation(data[place + 8 : place + length])
        place += data[place] << 8 | data[place + 1]
    else:
        raise ValueError(f"a JPEG of more than {MOST_SEGMENTS} segments before its size")
    _, bits, height, width, parts = struct.unpack_from(">HBHHB", data, place)
    if bits != 8 or parts not in (1, 3, 4):
        raise ValueError(f"a JPEG of {parts} components of {bits} bit; 1, 3 or 4 of 8 are read")
    if not data.endswith(b"\xff\xd9") and data.find(b"\xff\xd9", place) < 0:
        raise ValueError("a JPEG that is cut off: its end is missing")
    load = width * height
    if load > SMALL:
        load = load * max(data.count(b"\xff\xda", place), SCANS_FREE) // SCANS_FREE
    return ImageHeader(width, height, orientation, load)


def _png(data: bytes) -> ImageHeader:
    if data[12:16] != b"IHDR":
        raise ValueError("a PNG without a header")
    width, height = struct.unpack_from(">II", data, 16)
    return ImageHeader(width, height, _png_orientation(data), width * height)


def _png_orientation(data: bytes) -> int:
    if b"eXIf" not in data:
        return 1
    place = 8
    for _ in range(MOST_CHUNKS):
        if place + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"eXIf":
            return exif_orientation(data[place + 8 : place + 8 + length])
        place += 12 + length
    return 1


def _bmp(data: bytes) -> ImageHeader:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return _plain(width, abs(height))  # negative where the first row is the uppermost


def _gif(data: bytes) -> ImageHeader:
    return _plain(*struct.unpack_from("<HH", data, 6))


def _webp(data: bytes) -> ImageHeader:
    if data[8:12] != b"WEBP":
        raise ValueError("a RIFF file that is no WebP")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return ImageHeader(width, height, _webp_orientation(data), width * height)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return _plain(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return _plain(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    raise ValueError(f"a WebP that begins with {shown(kind)}")


def _webp_orientation(data: bytes) -> int:
    if b"EXIF" not in data:
        return 1
    place = 12
    for _ in range(MOST_CHUNKS):
        if place + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind == b"EXIF":
            return exif_orientation(data[place + 8 : place + 8 + length].removeprefix(b"Exif\0\0"))
        place += 8 + length + length % 2
    return 1


_NUMBER = re.compile(rb"#[^\n]*\n|(\d{1,10})")  # of a PNM; a comment goes to the end of its line


def _pnm(data: bytes) -> ImageHeader:
    start = data[:10_000]
    wanted = 2 if data[1:2] in b"14" else 3
    numbers = [int(found[1]) for found in _NUMBER.finditer(start, 2) if found[1]][:wanted]
    if len(numbers) < wanted:
        raise ValueError("a PNM without a size")
    if wanted == 3 and numbers[2] not in (255, 65535):
        raise ValueError(
            f"a PNM whose white is {numbers[2]}; read are 255 and 65535, others would come out "
            "too dark"
        )
    return _plain(*numbers[:2])


def _pam(data: bytes) -> ImageHeader:
    fields = rb"^(WIDTH|HEIGHT|MAXVAL|DEPTH)\s+(\d{1,10})\s*$"
    found = dict(re.findall(fields, data[:10_000], re.M))
    if len(found) < 4:
        raise ValueError("a PAM without a size")
    if found[b"MAXVAL"] not in (b"255", b"65535"):
        raise ValueError(f"a PAM whose white is {found[b'MAXVAL'].decode()}; read are 255, 65535")
    if int(found[b"DEPTH"]) != 1:
        raise ValueError("a PAM of colours or transparency, whose red comes out blue; save it as "
                         "PPM or PNG")  # fmt: skip
    return _plain(int(found[b"WIDTH"]), int(found[b"HEIGHT"]))


def _sun(data: bytes) -> ImageHeader:
    return _plain(*struct.unpack_from(">II", data, 4))


def _jpeg2000(data: bytes) -> ImageHeader:
    place = 0
    for _ in range(MOST_SEGMENTS):
        length, kind = struct.unpack_from(">I4s", data, place)
        begin = place + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        if kind == b"jp2c":
            return _codestream(data, begin)
        if length < 8:
            break
        place += length
    raise ValueError("a JPEG 2000 without a picture")


def _codestream(data: bytes, place: int = 0) -> ImageHeader:
    if data[place : place + 4] != b"\xff\x4f\xff\x51":
        raise ValueError("a JPEG 2000 without a size")
    right, below, left, above = struct.unpack_from(">4I", data, place + 8)
    (parts,) = struct.unpack_from(">H", data, place + 40)
    depths = {data[place + 42 + 3 * part] for part in range(min(parts, 4))}
    if parts not in (1, 3) or not depths <= {7, 15}:
        raise ValueError(f"a JPEG 2000 of {parts} components; 1 or 3 of 8 or 16 bit are read")
    width, height = right - left, below - above
    return ImageHeader(width, height, 1, JPEG2000_LOAD * right * below)


def _tiff(data: bytes) -> ImageHeader:
    width, height, orientation, load = read_tiff(data)
    if 5 <= orientation <= 8:  # lies on its side; OpenCV itself turns a TIFF
        width, height = height, width
    return ImageHeader(width, height, 1, load)


def _floats(data: bytes) -> ImageHeader:
    raise ValueError(
        "an image of floats (PFM, HDR, EXR), which does not say what is white; save it as PNG"
    )


def _box(data: bytes) -> ImageHeader:
    """Refuse AVIF and HEIC, which OpenCV's package does not read."""
    raise ValueError("an AVIF or HEIC image, which is not read; save it as JPEG or PNG")


def _plain(width: int, height: int) -> ImageHeader:
    return ImageHeader(width, height, 1, width * height)


_PNM_STARTS = tuple(b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b" \t\n\r")
_BOX_STARTS = tuple(b"\0\0\0%cftyp" % size for size in range(8, 64, 4))
_FORMATS: tuple[tuple[str, bytes | tuple[bytes, ...], Callable[[bytes], ImageHeader]], ...] = (
    ("JPEG", b"\xff\xd8\xff", _jpeg),
    ("PNG", b"\x89PNG\r\n\x1a\n", _png),
    ("WebP", b"RIFF", _webp),
    ("BMP", b"BM", _bmp),
    ("PNM", _PNM_STARTS, _pnm),
    ("TIFF", TIFF_STARTS, _tiff),
    ("GIF", (b"GIF87a", b"GIF89a"), _gif),
    ("PAM", b"P7\n", _pam),
    ("Sun raster", b"\x59\xa6\x6a\x95", _sun),
    ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n", _jpeg2000),
    ("JPEG 2000", b"\xff\x4f\xff\x51", _codestream),
    ("floats", (b"PF", b"Pf", b"#?RADIANCE", b"#?RGBE", b"v/1\x01"), _floats),
    ("AVIF or HEIC", _BOX_STARTS, _box),
)

"""The first directory of a TIFF, and of EXIF, which is one: size, depth, colours, orientation.

Source: TIFF 6.0, EXIF 2.32; BigTIFF as libtiff writes it.
"""

from __future__ import annotations

import struct

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SIZES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # of the types that sizes and kinds have
MOST_VALUES = 16  # of a tag that are looked at
WIDTH, HEIGHT, BITS, COLOURS, ORIENTATION = 256, 257, 258, 262, 274
SAMPLES, ROWS_PER_STRIP, PLANES, TILE_WIDTH, TILE_HEIGHT, FORMAT = 277, 278, 284, 322, 323, 339
KNOWN = frozenset(
    {WIDTH, HEIGHT, BITS, COLOURS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, PLANES}
    | {TILE_WIDTH, TILE_HEIGHT, FORMAT}
)
ALL_ROWS = (1 << 32) - 1  # in one strip: libtiff's default
# Samples of a pixel by what the colours are: white is 0, black is 0, RGB, palette, CMYK, YCbCr.
SAMPLES_OF = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}


def exif_orientation(data: bytes) -> int:
    """Return the orientation in EXIF, 1..8; 1 where it says none, or nonsense."""
    try:
        value = _directory(data).get(ORIENTATION, (1,))[0] if data[:4] in TIFF_STARTS[:2] else 1
    except (ValueError, IndexError, struct.error):
        return 1
    return value if 1 <= value <= 8 else 1


def read_tiff(data: bytes) -> tuple[int, int, int, int]:
    """Return width, height, orientation and load (as ImageHeader has it) of a TIFF's first image.

    Raises ValueError, struct.error where it is cut off; and ValueError for what OpenCV would give
    other values than the file means: floats, alpha (it multiplies), CIE Lab, some of 16 bit.
    """
    tags = _directory(data)
    width, height = (tags.get(tag, (0,))[0] for tag in (WIDTH, HEIGHT))
    bits, kinds = set(tags.get(BITS, (1,))), set(tags.get(FORMAT, (1,)))
    samples, colours = tags.get(SAMPLES, (1,))[0], tags.get(COLOURS, (1,))[0]
    if not kinds <= {1, 4}:
        raise ValueError(
            "a TIFF of floats or signed numbers, which does not say what is white; save it as PNG"
        )
    if len(bits) != 1 or not bits <= {1, 2, 4, 8, 16}:
        raise ValueError(f"a TIFF of {', '.join(map(str, sorted(bits)))} bit; 1 to 16 are read")
    if colours not in SAMPLES_OF:
        raise ValueError(f"a TIFF of photometric kind {colours}, which is not read; save it as PNG")
    if samples != SAMPLES_OF[colours]:
        raise ValueError(
            f"a TIFF of {samples} samples a pixel, as with transparency; save it as PNG"
        )
    if bits == {16} and (colours not in (1, 2) or tags.get(PLANES, (1,))[0] != 1):
        raise ValueError("a TIFF of 16 bit that is neither grey nor RGB; save it as PNG")
    piece = width * tags.get(ROWS_PER_STRIP, (ALL_ROWS,))[0]
    if piece == width * ALL_ROWS:
        piece = width * height
    if TILE_WIDTH in tags or TILE_HEIGHT in tags:
        piece = tags.get(TILE_WIDTH, (width,))[0] * tags.get(TILE_HEIGHT, (height,))[0]
    return width, height, tags.get(ORIENTATION, (1,))[0], max(width * height, piece)


def _directory(data: bytes) -> dict[int, tuple[int, ...]]:
    """Return the values of the known tags of the first directory, at most MOST_VALUES of each."""
    order, is_big = "<>"[data[:1] == b"M"], data[2:4] in (b"+\0", b"\0+")
    number, short, width = ("Q", "Q", 8) if is_big else ("I", "H", 4)
    (place,) = struct.unpack_from(order + number, data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + short, data, place)
    place += struct.calcsize(short)
    entry = struct.Struct(f"{order}HH{number}")
    if count * (entry.size + width) > len(data):
        raise ValueError("a TIFF that is cut off in its directory")
    tags: dict[int, tuple[int, ...]] = {}
    for _ in range(count):
        tag, kind, length = entry.unpack_from(data, place)
        place += entry.size
        if tag in KNOWN:
            if tag in tags or kind not in SIZES or not length:
                raise ValueError(f"a TIFF whose tag {tag} stands twice, or is no number")
            layout = f"{order}{min(length, MOST_VALUES)}{SIZES[kind]}"
            at = place
            if length * struct.calcsize(SIZES[kind]) > width:
                (at,) = struct.unpack_from(order + number, data, place)
            tags[tag] = struct.unpack_from(layout, data, at)
        place += width
    return tags

"""Bytes of strangers to pixels: only photo formats, the size looked at before decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.image_header import format_of, read_header
from ..data.images import decode_reduced
from .limits import Limits
from .refusal import Refusal

FORMATS = ("JPEG", "PNG", "WebP", "BMP")
LONG_SIDE = 1600  # pixels; a larger photo is reduced, as its faces stay large enough
SMALLEST = 12  # pixels; the detector's window


@dataclass(frozen=True, eq=False)
class Photo:
    """bgr: uint8 (H, W, 3), upright.  width, height: of the photo as sent, upright, in pixels."""

    bgr: np.ndarray
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels of the photo as sent for one of bgr."""
        return self.width / self.bgr.shape[1]

    def as_sent(self, points: np.ndarray) -> np.ndarray:
        """Return where points (N, 2) of bgr, x and y, are in the photo as sent, float32.

        Of both (0, 0) is the centre of the first pixel.
        """
        height, width = self.bgr.shape[:2]
        factor = np.array([self.width / width, self.height / height])
        return ((np.asarray(points, np.float64) + 0.5) * factor - 0.5).astype(np.float32)


def decode_photo(data: bytes, limits: Limits) -> Photo:
    """Return the photo in the bytes, turned as its EXIF orientation says.

    Raises Refusal: 413 for too many bytes or pixels, 415 for what is no photo, 422 for a
    photo that is damaged or too small.
    """
    if len(data) > limits.photo_bytes:
        raise Refusal(
            413,
            "too_many_bytes",
            f"the photo has {len(data)} bytes; {limits.photo_bytes} are allowed",
        )
    if format_of(data) not in FORMATS:
        raise Refusal(415, "no_photo", f"not a photo; send one of {', '.join(FORMATS)}")
    try:
        header = read_header(data)
    except ValueError:
        raise _damaged() from None
    if max(header.load, header.width * header.height) > limits.pixels:
        raise Refusal(
            413,
            "too_many_pixels",
            f"the photo has too many pixels; {limits.pixels / 1e6:g} million are allowed",
        )
    if min(header.width, header.height) < SMALLEST:
        raise Refusal(
            422, "too_small", f"the photo is {header.width}x{header.height} pixels: too small"
        )
    try:
        bgr, (height, width) = decode_reduced(data, long_side=LONG_SIDE, max_pixels=limits.pixels)
    except ValueError:
        raise _damaged() from None
    return Photo(bgr, width, height)


def _damaged() -> Refusal:
    return Refusal(422, "damaged", "the photo is damaged or cut off")

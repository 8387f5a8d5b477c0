"""Bytes of strangers to pixels: only photo formats, the size looked at before decoding."""

from __future__ import annotations

from dataclasses import dataclass
import io

import cv2
import numpy as np
from PIL import Image, ImageOps

from .limits import Limits
from .refusal import Refusal

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
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
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Refusal(413, "too_many_pixels", _pixels_detail(limits)) from None
    except Exception:  # Pillow's readers raise many kinds over foreign bytes
        known = ", ".join(FORMATS)
        raise Refusal(415, "no_photo", f"not a photo; send one of {known}") from None
    if image.width * image.height > limits.pixels:
        raise Refusal(413, "too_many_pixels", _pixels_detail(limits))
    if min(image.size) < SMALLEST:
        raise Refusal(
            422, "too_small", f"the photo is {image.width}x{image.height} pixels: too small"
        )
    try:
        return _decode(image)
    except Exception:
        raise Refusal(422, "damaged", "the photo is damaged or cut off") from None


def _pixels_detail(limits: Limits) -> str:
    return f"the photo has too many pixels; {limits.pixels / 1e6:g} million are allowed"


def _decode(image: Image.Image) -> Photo:
    width, height = image.size
    if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # orientation: lies on its side
        width, height = height, width
    image.draft("RGB", (LONG_SIDE, LONG_SIDE))  # lets JPEG skip detail; never below this size
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bit grey
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image.thumbnail((LONG_SIDE, LONG_SIDE))
    rgb = np.asarray(image.convert("RGB"))
    return Photo(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), width, height)

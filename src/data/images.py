"""The one image reader: bytes, files and arrays become uint8 (H, W, 3), of one size if asked."""

from __future__ import annotations

import os

import cv2
import numpy as np

from ..limits import read_limited
from .image_header import ImageHeader, read_header

LARGEST_FILE = 1 << 29  # bytes
CROP_PIXELS = 1 << 22  # of a crop, such as records and pair sets hold
MAX_PIXELS = 50_000_000  # of an image, unless the caller says otherwise: 150 MB decoded
GREY, COLOR, AS_STORED = cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED  # 0, 1, -1
if hasattr(cv2, "setLogLevel"):
    cv2.setLogLevel(0)  # its lines name no file; what is wrong is raised
_AS_IT_LIES = cv2.IMREAD_IGNORE_ORIENTATION  # OpenCV knows EXIF in JPEG and PNG alone


JPEG = b"\xff\xd8"
# Newer OpenCV (4.11 does) gives a JPEG in this order as it decodes it, at no cost.
JPEG_RGB = getattr(cv2, "IMREAD_COLOR_RGB", COLOR)
REDUCED = (  # by how much a JPEG's sides can be divided as it is decoded
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
    (0, COLOR),
)
RESIZED = "after resizing"  # in what fit_height() says of another size
ON_SIDE = (5, 6, 7, 8)  # EXIF orientations
# What brings an image upright, by its EXIF orientation.
UPRIGHT = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    4: lambda image: cv2.flip(image, 0),
    5: cv2.transpose,
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.rotate(cv2.transpose(image), cv2.ROTATE_180),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def decode_bgr(
    data: bytes,
    name: str = "image",
    *,
    cure: str = "",
    mode: int = COLOR,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Return the image of encoded bytes, (H, W, 3) uint8 BGR, turned as its EXIF orientation
    says.  name: the image in messages.  cure: what to do about it, the end of the message.

    Read are JPEG, PNG, WebP, BMP, TIFF, PNM, JPEG 2000, and GIF where OpenCV's package reads it.
    Grey becomes three equal channels, CMYK and palettes become colours, transparency is dropped,
    of 16 bit the upper 8 stay.  Refused are floats, and in TIFF transparency and CIE Lab, which
    OpenCV gives other values.  mode: GREY gives (H, W); AS_STORED turns and converts nothing (a
    TIFF it turns).  max_pixels: of the size that the bytes claim, which is looked at first.
    Raises ValueError that begins with name and ends with cure if the bytes are no readable image.
    """
    header, image = _decode(data, name, cure, mode, max_pixels)
    return image if mode == AS_STORED else upright(image, header.orientation)


def decode_reduced(
    data: bytes, name: str = "image", *, long_side: int, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the image as decode_bgr does, brought down to a long side of `long_side` pixels if it
    is larger, and its own (height, width), upright.  Faster than to decode the whole of a JPEG.

    Raises ValueError as decode_bgr does.
    """
    header, image = _decode(data, name, "", COLOR, max_pixels, long_side)
    if max(image.shape[:2]) > long_side:
        scale = long_side / max(image.shape[:2])
        width, height = (max(round(side * scale), 1) for side in image.shape[1::-1])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    is_on_side = header.orientation in ON_SIDE
    size = (header.width, header.height) if is_on_side else (header.height, header.width)
    return upright(image, header.orientation), size


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return an image turned as an EXIF orientation says."""
    return UPRIGHT[orientation](image) if orientation in UPRIGHT else image


def _decode(
    data: bytes, name: str, cure: str, mode: int, max_pixels: int, long_side: int = 0
) -> tuple[ImageHeader, np.ndarray]:
    """Return header and pixels, as they lie.  long_side: of a JPEG, no less of it is decoded.

    Raises ValueError as decode_bgr does.
    """
    reason = ""
    try:
        header = read_header(data)
        if header is not None:
            _check_size(header, max_pixels)
            if long_side and data.startswith(JPEG):
                longest = max(header.width, header.height)
                mode = next(mode for step, mode in REDUCED if longest >= step * long_side)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), mode | _AS_IT_LIES)
            if image is not None:
                return header, image
    except cv2.error as error:
        reason = f" ({error.err})"
    except ValueError as error:
        reason = f": {error}"
    raise ValueError(
        f"{name}: {len(data)} bytes that are no image that OpenCV can decode{reason}"
        + (f"; {cure}" if cure else "")
    )


def _check_size(header: ImageHeader, max_pixels: int) -> None:
    width, height, _, load = header
    if width < 1 or height < 1:
        raise ValueError(f"it is {width} wide and {height} high")
    if load > max_pixels:
        passes = f", which take as long to decode as {load}" if load > width * height else ""
        option = "" if max_pixels <= CROP_PIXELS else " (more with --max-pixels, where it is)"
        raise ValueError(
            f"it has {width}x{height} = {width * height} pixels{passes}; at most {max_pixels} are "
            f"decoded{option}"
        )


def decode_rgb(
    data: bytes, name: str = "image", *, cure: str = "", max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Return the image of encoded bytes as decode_bgr does, but in RGB order."""
    mode = JPEG_RGB if data.startswith(JPEG) else COLOR
    image = decode_bgr(data, name, cure=cure, mode=mode, max_pixels=max_pixels)
    return image if mode != COLOR else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the image of a file as decode_bgr does.

    Raises FileNotFoundError, or ValueError that names the file if it is no readable image.
    """
    return decode_bgr(read_image_file(path), str(path), max_pixels=max_pixels)


def read_image_file(path: str | os.PathLike) -> bytes:
    """Return the bytes of an image file.  Raises FileNotFoundError, or ValueError if too large."""
    return read_limited(path, LARGEST_FILE, "image file")


def as_bgr(image: np.ndarray) -> np.ndarray:
    """Return an array as (H, W, 3) uint8 BGR.

    image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16; colours BGR or BGRA.
    Raises ValueError for anything else, an empty image included.
    """
    image = np.asarray(image)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ValueError(f"image of {image.dtype}: give uint8 (0..255) or uint16")
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.size == 0:
        raise ValueError(f"image of shape {image.shape}: give (H, W), or (H, W, C), C = 1, 3 or 4")
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def fit_height(image: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """Return the image resized to shape (height, width) if its height differs, uint8.

    As published: the shorter side is brought to the wanted height, bicubic; nothing is
    cropped.  Raises ValueError if the result still has another shape.
    """
    height, width = image.shape[:2]
    if height != shape[0]:
        short = min(height, width)
        height, width = shape[0] * height // short, shape[0] * width // short
    if (height, width) != shape or height * width > MAX_PIXELS:
        raise ValueError(
            f"{name}: is {width} wide and {height} high {RESIZED}, not "
            f"{shape[1]}x{shape[0]}; give --image-size or property the size of the crops, or "
            "pack them at that size (face2rec2.py --fit)"
        )
    if image.shape[0] != height:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    return image

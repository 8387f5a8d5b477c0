"""Readers of images, in every format that is taken, and of photos sent to the service."""

from __future__ import annotations

from functools import partial
import io
from pathlib import Path
import struct

from arcface_mxnet.data.images import read_image
import cv2
import numpy as np

from tests.fuzz.table import reader

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 14, 3), np.uint8)
FORMATS = (".jpg", ".png", ".bmp", ".webp", ".tif", ".ppm", ".jp2", ".gif")


def encoded(ending: str, image: np.ndarray = PICTURE) -> bytes:
    if ending == ".jp2":  # wants more pixels than the others
        image = cv2.resize(image, (64, 48))
    return cv2.imencode(ending, image)[1].tobytes()


def with_exif(jpeg: bytes, orientation: int = 6) -> bytes:
    """Return a JPEG with an EXIF segment of one entry, the orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def is_picture(image: np.ndarray) -> bool:
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size > 0


def can_encode(ending: str) -> bool:
    try:
        return cv2.haveImageWriter(f"a{ending}")
    except cv2.error:
        return False


SEEDS = {ending[1:]: (ending, partial(encoded, ending)) for ending in FORMATS if can_encode(ending)}
SEEDS |= {
    "jpg-exif": (".jpg", lambda: with_exif(encoded(".jpg"))),
    "png-16-bit": (".png", lambda: encoded(".png", PICTURE[..., 0].astype(np.uint16) * 257)),
    "png-alpha": (".png", lambda: encoded(".png", np.dstack([PICTURE, PICTURE[..., 0]]))),
}
for name, (ending, make) in SEEDS.items():
    reader(f"image-{name}", lambda ending=ending, make=make: {f"a{ending}": make()}, f"a{ending}",
           lambda f, ending=ending: read_image(f / f"a{ending}"), is_picture,
           "data.images")  # fmt: skip


def decode_sent(folder: Path) -> np.ndarray:
    """Return a photo sent to the service; a Refusal is what it promises, without a file's name."""
    from arcface_mxnet.serve.limits import Limits
    from arcface_mxnet.serve.photos import decode_photo
    from arcface_mxnet.serve.refusal import Refusal

    try:
        return decode_photo((folder / "photo").read_bytes(), Limits()).bgr
    except Refusal as refusal:
        raise ValueError(f"photo: {refusal}") from None


def sent(ending: str) -> dict[str, bytes]:
    return {"photo": encoded(ending, cv2.resize(PICTURE, (40, 30)))}


for ending in (".jpg", ".png", ".webp", ".bmp"):
    reader(f"photo{ending}", partial(sent, ending), "photo", decode_sent, is_picture,
           "serve.photos", needs=("fastapi", "PIL"))  # fmt: skip


def with_pillow() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = 8
    Image.fromarray(np.repeat(np.repeat(PICTURE, 2, 0), 2, 1)).save(file, "WEBP", exif=exif)
    return file.getvalue()


reader("photo-webp-exif", lambda: {"photo": with_pillow()}, "photo", decode_sent, is_picture,
       "serve.photos", needs=("fastapi", "PIL"))  # fmt: skip


def form_of_photo() -> dict[str, bytes]:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    name = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nZo\xc3\xab\r\n'
    return {"form": name + head + encoded(".png") + b"\r\n--x--\r\n"}


def read_form(folder: Path) -> int:
    """Return how many parts a form has; a Refusal is what is promised, without a file's name."""
    from arcface_mxnet.serve.forms import parse_form
    from arcface_mxnet.serve.refusal import Refusal

    try:
        form = parse_form("multipart/form-data; boundary=x", (folder / "form").read_bytes())
    except Refusal as refusal:
        raise ValueError(f"form: {refusal}") from None
    return len(form.texts) + len(form.uploads)


reader("form", form_of_photo, "form", read_form, lambda found: found >= 0, "serve.forms")

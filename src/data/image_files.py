"""Which files are images: told by their first bytes, or by an ending that promises one.

A file whose ending promises an image is taken for one even if its bytes are none, so that it is
named as damaged when it is read and not left out in silence.
"""

from __future__ import annotations

import errno
import os
import stat

HEAD = 32  # bytes that tell a format

ENDINGS = (
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm",
    ".pbm", ".jp2", ".heic", ".heif", ".avif",
)  # fmt: skip

# What systems and programs leave in folders of photos, beside all names that begin with a dot.
LEFT_BEHIND = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "#recycle",
    "$recycle.bin", "system volume information", "lost+found", "__pycache__", "picasa.ini",
}  # fmt: skip

_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"), (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"), (b"8BPS", "Photoshop"), (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance"), (b"#?RGBE", "Radiance"),
    (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\x59\xa6\x6a\x95", "Sun raster"), (b"PF\n", "PFM"), (b"Pf\n", "PFM"),
)  # fmt: skip
_BRANDS = {
    b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"heim": "HEIC", b"mif1": "HEIC",
    b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF",
}  # fmt: skip
_ENDING_OF = {
    "JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WebP": ".webp", "TIFF": ".tif", "GIF": ".gif",
    "JPEG 2000": ".jp2", "HEIC": ".heic", "AVIF": ".avif",
}  # fmt: skip
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # sizes of the header after the first 14 bytes


def image_format(head: bytes) -> str:
    """Return the image format that the first bytes of a file tell, such as "JPEG", or ""."""
    for beginning, name in _BEGINNINGS:
        if head.startswith(beginning):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3] in (b" ", b"\n", b"\r", b"\t"):
        return "PNM"
    return ""


def ending_of(head: bytes) -> str:
    """Return the usual ending of the format that the first bytes tell, ".img" for none."""
    if head[:2] in (b"P5", b"P6"):
        return ".pgm" if head[1:2] == b"5" else ".ppm"
    return _ENDING_OF.get(image_format(head), ".img")


def is_image(path: str | os.PathLike) -> bool:
    """Tell whether a file is taken for an image.  Raises OSError if it cannot be opened."""
    if os.path.splitext(path)[1].lower() in ENDINGS:  # noqa: PTH122 - a million Paths are slow
        return True
    return bool(image_format(_head(path) or b""))


def is_left_behind(name: str) -> bool:
    """Tell by its name whether a file or folder was left by a system, not put there by a person:
    .DS_Store, ._1.jpg, .ipynb_checkpoints, __MACOSX, Thumbs.db and their like."""
    return name.startswith(".") or name.lower().split(":")[0] in LEFT_BEHIND


def image_fault(path: str | os.PathLike) -> str:
    """Return why a listed file cannot be an image, without decoding it, or ""."""
    try:
        head = _head(path)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except IsADirectoryError:
        return "a folder"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if head is None:
        return "a pipe or a device"
    if not head:
        return "empty"
    return "" if image_format(head) else f"no image: begins with {head[:8]!r}"


def _head(path: str | os.PathLike) -> bytes | None:
    """Return the first bytes of a file, None of a pipe or device, which may not be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        return os.read(descriptor, HEAD) if stat.S_ISREG(mode) else None
    finally:
        os.close(descriptor)

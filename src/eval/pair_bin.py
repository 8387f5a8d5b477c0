"""The published container NAME.bin: a pickle of (images, is_genuine).

2P encoded images in the order a0, b0, a1, b1 .. and P flags.  Read are files of Python 2 and 3
with images as bytes or uint8 arrays.  Written are protocol 2, bytes and bool, which every
published reader reads.
"""

from __future__ import annotations

from collections.abc import Sequence
import io
from pathlib import Path
import pickle
from typing import IO, Any

import numpy as np

from .pair_containers import PAIR_CONTAINERS, PUBLISHED, PairContainer
from .pair_pickle import ForbiddenPickle, ImageArray, PairSetUnpickler

# What the unpickler raises on a damaged or foreign file.
DAMAGE = (
    pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError, ValueError,
    AttributeError, OverflowError, MemoryError, AssertionError,
)  # fmt: skip


def read(path: Path) -> tuple[list[bytes], np.ndarray]:
    content = _load(path)
    try:
        images, flags = content
        return [_image_bytes(image, number) for number, image in enumerate(images)], _flags(flags)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a pair set: {error}") from None


def write(file: IO, images: Sequence[bytes], flags: np.ndarray) -> None:
    content = [bytes(image) for image in images], [bool(flag) for flag in flags]
    pickle.dump(content, file, protocol=2)


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            return PairSetUnpickler(io.BytesIO(file.read())).load()
        except ForbiddenPickle as error:
            raise ValueError(f"{path}: refused: it contains {error}") from None
        except DAMAGE as error:
            reason = str(error) or type(error).__name__
            raise ValueError(
                f"{path}: not a pair set (a pickle of images and flags), or cut short: {reason}; "
                "fetch or pack it again"
            ) from None


def _image_bytes(image: Any, number: int) -> bytes:
    if isinstance(image, ImageArray) and image.kind == "u1":
        image = image.payload
    if not isinstance(image, bytes | bytearray):
        raise ValueError(f"image {number} is a {type(image).__name__}, not bytes or a uint8 array")
    return bytes(image)


def _flags(flags: Any) -> np.ndarray:
    if isinstance(flags, ImageArray) and flags.payload is not None:
        return np.frombuffer(flags.payload, np.uint8).astype(bool)
    wrong = [flag for flag in flags if flag not in (True, False)]
    if wrong:
        raise ValueError(f"a genuine/impostor flag is {wrong[0]!r}; it must be true or false")
    return np.array(flags, dtype=bool)


PAIR_CONTAINERS.register(PUBLISHED)(PairContainer(read, write))

"""The published container NAME.bin: a pickle of (images, is_genuine).

2P encoded images in the order a0, b0, a1, b1 .. and P flags.  Read are files of Python 2 and 3
with images as bytes or uint8 arrays.  Written are protocol 2, bytes and bool, which every
published reader reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import pickle
from typing import IO, Any

import numpy as np

from ..limits import read_limited, shown
from .pair_containers import PAIR_CONTAINERS, PUBLISHED, PairContainer
from .pair_pickle import load_pair_pickle
from .pickled_names import ArrayBytes, ForbiddenPickle

REPACK = "python -m arcface_mxnet.eval.repack_pairs THEIRS.bin MINE.bin --array-color rgb|bgr"
LARGEST_FILE = 1 << 32  # bytes: half a million images


def read(path: Path) -> tuple[list[bytes], np.ndarray]:
    images, flags = read_any(path)
    pixels = [number for number, image in enumerate(images) if isinstance(image, np.ndarray)]
    if pixels:
        image = images[pixels[0]]
        raise ValueError(
            f"{path}: not a pair set: image {pixels[0]} is an array of pixels {image.shape}, not "
            f"an encoded image, as {len(pixels)} of {len(images)} are; arrays do not say whether "
            f"red or blue comes first, so if you know it write the set anew with PNG: `{REPACK}`"
        )
    return images, flags


def read_any(path: Path) -> tuple[list[bytes | np.ndarray], np.ndarray]:
    """Return 2P images, encoded or as arrays of pixels of any shape and number, and P flags."""
    content = _load(path)
    try:
        if not isinstance(content, tuple | list):
            raise ValueError(f"it holds {shown(content)}")
        images, flags = content
        if isinstance(images, ArrayBytes):
            listed = images.listed()
            images = list(images.numbers()) if listed is None else listed
        if not isinstance(images, tuple | list):
            raise ValueError(f"its images are {shown(images)}, not a list")
        return [_image(image, number) for number, image in enumerate(images)], _flags(flags)
    except ValueError as error:
        raise ValueError(f"{path}: not a pair set: {error}") from None


def write(file: IO, images: Sequence[bytes], flags: np.ndarray) -> None:
    content = [bytes(image) for image in images], [bool(flag) for flag in flags]
    pickle.dump(content, file, protocol=2)


def _load(path: Path) -> Any:
    data = read_limited(path, LARGEST_FILE, "pair set")
    try:
        return load_pair_pickle(data)
    except ForbiddenPickle as error:
        raise ValueError(f"{path}: refused: it contains {error}") from None
    except ValueError as error:
        raise ValueError(
            f"{path}: not a pair set (a pickle of images and flags), or cut short: {error}; "
            "fetch or pack it again"
        ) from None


def _image(image: Any, number: int) -> bytes | np.ndarray:
    if isinstance(image, ArrayBytes) and image.listed() is None:
        is_encoded = image.kind == "u1" and sum(length != 1 for length in image.shape) <= 1
        image = image.payload if is_encoded else image.numbers()
    if isinstance(image, np.ndarray) and image.ndim > 1:
        return image
    if not isinstance(image, bytes):
        raise ValueError(f"image {number} is {shown(image)}, not bytes or a uint8 array")
    return image


def _flags(flags: Any) -> np.ndarray:
    if isinstance(flags, ArrayBytes):
        listed = flags.listed()
        flags = flags.values().tolist() if listed is None else listed
    if not isinstance(flags, tuple | list):
        raise ValueError(f"its flags are {shown(flags)}, not a list")
    for flag in flags:
        if not isinstance(flag, bool | int) or flag not in (0, 1):
            raise ValueError(f"a genuine/impostor flag is {shown(flag)}; it must be true or false")
    return np.array(flags, dtype=bool)


PAIR_CONTAINERS.register(PUBLISHED)(PairContainer(read, write))

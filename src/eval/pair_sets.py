"""Pair sets: the published NAME.bin, read as data and written.

NAME.bin is a pickle of (images, is_genuine): 2P encoded images in the order a0, b0, a1, b1 ..
and P flags.  Written are protocol 2, bytes and bool, which every published reader reads.

NAME.pairs.tsv beside it is ours and may be absent: a line `identity <TAB> path` for each of the
2P images, so that results can name people and files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import io
import os
from pathlib import Path
import pickle
from typing import Any

import numpy as np

from ..data.images import decode_rgb, fit_height
from ..files import replace_file
from .pair_pickle import ForbiddenPickle, ImageArray, PairSetUnpickler

# What the unpickler raises on a damaged or foreign file.
DAMAGE = (
    pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError, ValueError,
    AttributeError, OverflowError, MemoryError, AssertionError,
)  # fmt: skip


@dataclass(frozen=True)
class PairSet:
    """P pairs of encoded images.

    images: 2P encoded images (JPEG, PNG ..), a0, b0, a1, b1 ...  is_genuine: bool (P,).
    identities, paths: 2P names where known, else empty.
    Raises ValueError if the lengths do not fit together.
    """

    images: Sequence[bytes]
    is_genuine: np.ndarray
    identities: Sequence[str] = ()
    paths: Sequence[str] = ()

    def __post_init__(self) -> None:
        flags = np.asarray(self.is_genuine, dtype=bool)
        object.__setattr__(self, "is_genuine", flags)
        if len(self.images) % 2:
            raise ValueError(f"{len(self.images)} images: an odd number cannot form pairs")
        if len(self.images) != 2 * len(flags):
            raise ValueError(
                f"{len(self.images)} images form {len(self.images) // 2} pairs, "
                f"but there are {len(flags)} genuine/impostor flags"
            )
        if not len(flags):
            raise ValueError("the pair set is empty")
        for name, given in (("identities", self.identities), ("paths", self.paths)):
            if given and len(given) != len(self.images):
                raise ValueError(f"{len(given)} {name} for {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.is_genuine)

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which images differ and which each one is: int (U,) numbers of images, and
        int (2P,) rows of that list.

        A photo stands in several pairs; equal bytes need embedding once (LFW: 7,701 of 12,000).
        """
        row_of: dict[bytes, int] = {}
        rows = np.array([row_of.setdefault(image, len(row_of)) for image in self.images])
        return np.unique(rows, return_index=True)[1], rows

    def decoded(
        self, image_size: tuple[int, int] | None = None, numbers: Sequence[int] | None = None
    ) -> Iterator[np.ndarray]:
        """Yield each image decoded, uint8 RGB (H, W, 3), one at a time.

        image_size: (height, width) that others are scaled to, as published, by their shorter
        side; None demands that all are alike.  numbers: which images, None for all.
        Raises ValueError naming the pair if one does not decode or has another size.
        """
        size = image_size
        for number in range(len(self.images)) if numbers is None else numbers:
            image, where = self.images[number], self.describe(number)
            rgb = decode_rgb(image, where, cure="pack the set again without this pair")
            if image_size is not None:
                rgb = fit_height(rgb, image_size, where)
            size = size or rgb.shape[:2]
            if rgb.shape[:2] != size:
                raise ValueError(
                    f"{where} is {rgb.shape[0]}x{rgb.shape[1]}, the first image "
                    f"is {size[0]}x{size[1]} (height x width); pack crops of one size"
                )
            yield rgb

    def describe(self, number: int) -> str:
        """Return words for image number 0..2P-1: which pair, which side, which file if known."""
        where = f"pair {number // 2}, {'left' if number % 2 == 0 else 'right'} image"
        return where + (f" ({self.paths[number]})" if self.paths else "")


def read_pair_set(path: str | os.PathLike) -> PairSet:
    """Return the pair set of a NAME.bin, with names if NAME.pairs.tsv lies beside it.

    Files of Python 2 and 3 and images as bytes or uint8 arrays are read; no code in the file is
    run.  Raises FileNotFoundError, and ValueError saying what is wrong with the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pair set")
    content = _load(path)
    try:
        images, flags = content
        images = [_image_bytes(image, number) for number, image in enumerate(images)]
        return PairSet(images, _flags(flags), *_read_names(path, len(images)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a pair set: {error}") from None


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


def write_pair_set(path: str | os.PathLike, pair_set: PairSet) -> None:
    """Write a NAME.bin that every published reader reads, and NAME.pairs.tsv if names are known."""
    path = Path(path)
    with replace_file(path) as file:
        flags = [bool(flag) for flag in pair_set.is_genuine]
        pickle.dump(([bytes(image) for image in pair_set.images], flags), file, protocol=2)
    names_path(path).unlink(missing_ok=True)
    if pair_set.identities or pair_set.paths:
        empty = [""] * len(pair_set.images)
        rows = zip(pair_set.identities or empty, pair_set.paths or empty, strict=True)
        with replace_file(names_path(path), "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{identity}\t{image}\n" for identity, image in rows)


def names_path(path: Path) -> Path:
    """Return where the names of a pair set lie: lfw.bin -> lfw.pairs.tsv."""
    return path.with_suffix(".pairs.tsv")


def _read_names(path: Path, num_images: int) -> tuple[list[str], list[str]]:
    names = names_path(path)
    if not names.is_file():
        return [], []
    rows = [line.split("\t") for line in names.read_text(encoding="utf-8").splitlines()]
    if len(rows) != num_images or any(len(row) != 2 for row in rows):
        raise ValueError(
            f"{names.name} must have {num_images} lines of identity and path, tab separated; "
            f"it has {len(rows)}; remove it if it belongs to another pair set"
        )
    identities, paths = [row[0] for row in rows], [row[1] for row in rows]
    return (identities if any(identities) else []), (paths if any(paths) else [])

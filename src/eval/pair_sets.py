"""Pair sets: the published NAME.bin, and other containers (pair_containers.py), read and written.

NAME.pairs.tsv beside it is ours and may be absent: a line `identity <TAB> path` for each of the
2P images, so that results can name people and files.  A name that a line cannot hold, with a TAB
or a line break in it, or one that begins with a quotation mark, is written as a JSON string.
NAME.columns.tsv, which may be absent too, says more of the P pairs (pair_columns.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import json
import os
from pathlib import Path

import numpy as np

from ..data.images import CROP_PIXELS, decode_rgb, fit_height
from ..files import reading_set, replace_set
from ..text import read_text
from . import pair_bin  # noqa: F401  (registers itself)
from .pair_columns import column_lines, read_columns
from .pair_containers import container_of

# Names of files need not be UTF-8.
LARGEST_NAMES = 1 << 28  # bytes
MOST_WRONG = 0.1  # of the genuine pairs, with two names
NAMES_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}


@dataclass(frozen=True)
class PairSet:
    """P pairs of encoded images.

    images: 2P encoded images (JPEG, PNG ..), a0, b0, a1, b1 ...  is_genuine: bool (P,).
    identities, paths: 2P names where known, else empty.  columns: P values by the name of what
    they say, such as groups, or "failed" where no face was found (pair_columns.py).
    Raises ValueError if the lengths do not fit together.
    """

    images: Sequence[bytes]
    is_genuine: np.ndarray
    identities: Sequence[str] = ()
    paths: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

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
        for name, values in self.columns.items():
            if len(values) != len(flags):
                raise ValueError(f"column {name!r}: {len(values)} values for {len(flags)} pairs")

    def __len__(self) -> int:
        return len(self.is_genuine)

    def part(self, chosen: np.ndarray) -> PairSet:
        """Return the pairs that are chosen, bool (P,), in their order."""
        pairs = np.flatnonzero(chosen)
        sides = [2 * pair + side for pair in pairs.tolist() for side in (0, 1)]

        def of(values: Sequence, numbers: Sequence[int]) -> list:
            return [values[number] for number in numbers] if len(values) else []

        return PairSet(
            of(self.images, sides),
            self.is_genuine[chosen],
            of(self.identities, sides),
            of(self.paths, sides),
            {name: of(values, pairs.tolist()) for name, values in self.columns.items()},
        )

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
            cure = "pack the set again without this pair"
            rgb = decode_rgb(image, where, cure=cure, max_pixels=CROP_PIXELS)
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
    """Return the pair set of a file, with the names and columns that lie beside it.

    The container is known by its ending, NAME.bin by any other; no code in the file is run.
    Raises FileNotFoundError, and ValueError saying what is wrong with the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pair set")
    with reading_set(path, names_path(path), columns_path(path)):
        images, flags = container_of(path).read(path)
        names = _names_text(path)
        columns = read_columns(columns_path(path), len(flags))
    try:
        identities, paths = _parse_names(names, path, len(images))
        if fault := names_fault(identities, flags):
            raise ValueError(f"{names_path(path).name} {fault}")
        return PairSet(images, flags, identities, paths, columns)
    except ValueError as error:
        raise ValueError(f"{path}: not a pair set: {error}") from None


def write_pair_set(path: str | os.PathLike, pair_set: PairSet) -> None:
    """Write a pair set, a NAME.bin as every published reader reads it unless the ending names
    another container, NAME.pairs.tsv if names are known and NAME.columns.tsv if there are any."""
    path = Path(path)
    with replace_set(path, names_path(path), columns_path(path)) as files:
        container_of(path).write(files.open(path), pair_set.images, pair_set.is_genuine)
        if pair_set.identities or pair_set.paths:
            empty = [""] * len(pair_set.images)
            rows = zip(pair_set.identities or empty, pair_set.paths or empty, strict=True)
            text = files.open(names_path(path), "w", newline="\n", **NAMES_TEXT)
            text.writelines(
                f"{_written(identity)}\t{_written(image)}\n" for identity, image in rows
            )
        if pair_set.columns:
            text = files.open(columns_path(path), "w", newline="\n", **NAMES_TEXT)
            text.writelines(column_lines(pair_set.columns))


def names_path(path: Path) -> Path:
    """Return where the names of a pair set lie: lfw.bin -> lfw.pairs.tsv."""
    return path.with_suffix(".pairs.tsv")


def columns_path(path: Path) -> Path:
    """Return where the columns of a pair set lie: lfw.bin -> lfw.columns.tsv."""
    return path.with_suffix(".columns.tsv")


def _names_text(path: Path) -> str | None:
    names = names_path(path)
    if not names.is_file():
        return None
    return read_text(names, "list of names", names=True, limit=LARGEST_NAMES)


def _parse_names(text: str | None, path: Path, num_images: int) -> tuple[list[str], list[str]]:
    if text is None:
        return [], []
    rows = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    if len(rows) != num_images or any(len(row) != 2 for row in rows):
        raise ValueError(
            f"{names_path(path).name} must have {num_images} lines of identity and path, tab "
            f"separated; it has {len(rows)}; remove it if it belongs to another pair set"
        )
    identities, paths = ([_read(row[column]) for row in rows] for column in (0, 1))
    return (identities if any(identities) else []), (paths if any(paths) else [])


def names_fault(identities: Sequence[str], flags: np.ndarray) -> str:
    """Return why 2P names are those of another set, or "": the flags tell genuine pairs too.

    A few may disagree, where a published list is wrong about a person.
    """
    sides = list(zip(identities[0::2], identities[1::2], strict=True))
    genuine = np.asarray(flags, bool)
    for kind, says, contradicts in (
        ("genuine", "two identities", [left != right for left, right in sides]),
        ("impostor", "one identity", [left == right != "" for left, right in sides]),
    ):
        of_kind = genuine == (kind == "genuine")
        wrong = int((of_kind & np.array(contradicts, bool)).sum()) if sides else 0
        if wrong > max(1, MOST_WRONG * of_kind.sum()):
            return (
                f"names {says} for {wrong} of {int(of_kind.sum())} {kind} pairs; remove it if it "
                "belongs to another pair set"
            )
    return ""


def _written(name: str) -> str:
    """Return a name as it stands in a line.  splitlines knows more line breaks than the newline,
    and so do other readers of the file."""
    is_plain = "\t" not in name and name.splitlines() == [name] * bool(name)
    return name if is_plain and not name.startswith('"') else json.dumps(name)


def _read(field: str) -> str:
    if not field.startswith('"'):
        return field
    try:
        return json.loads(field)
    except ValueError:
        return field  # written before names were quoted

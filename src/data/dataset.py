"""A folder of training faces: train.rec, train.idx and property."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
import hashlib
import os
from pathlib import Path
import re

import numpy as np

from ..files import reading_set
from ..text import read_text
from .images import CROP_PIXELS, decode_rgb, fit_height
from .ranges import has_ranges, keys_in, read_ranges, runs
from .records import RecordReader

LARGEST_PROPERTY = 1 << 20  # bytes
PACK = "pack the folder with face2rec2.py (docs/datasets.md)"
FIND_BAD = (
    "find all such records with `python -m arcface_mxnet.data.rec check FOLDER` and pack the file "
    "again without them"
)


class FaceDataset:
    """Images and identities of a dataset folder.  Reading is safe from several threads.

    image_size: (height, width) instead of property's.  images_filter: identities with fewer
    images are left out; the others keep their numbers.

    num_classes: identities that the classifier has, from property
    image_shape: (height, width) of every sample
    image_keys: int64 (N,) keys of the images
    identity_ranges: int64 (K, 2), first and past last key of each run of one identity, in
        the order of the file; a list grouped by identity gives one run per identity

    Raises FileNotFoundError for a missing folder or file, ValueError with the cure for a file
    that is damaged, cut off, or does not fit the others, or where packing was interrupted.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        image_size: Sequence[int] = (),
        images_filter: int = 0,
    ):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no dataset folder {self.folder.absolute()}; {PACK}")
        for name in ("property", "train.rec", "train.idx"):
            if not (self.folder / name).is_file():
                raise FileNotFoundError(f"{self.folder.absolute()} has no file {name}; {PACK}")
        rec, idx = self.folder / "train.rec", self.folder / "train.idx"
        with reading_set(rec, idx, self.folder / "property"):
            self.num_classes, self.image_shape = read_property(self.folder / "property")
            self.records = RecordReader(rec, idx)
        if image_size:
            self.image_shape = (int(image_size[0]), int(image_size[1]))
        self.has_ranges = has_ranges(self.records)
        if self.has_ranges:
            self.identity_ranges = read_ranges(self.records)
            self.image_keys = keys_in(self.identity_ranges)
            self._check_classes(np.unique(self.identity_ranges[[0, -1], 0]))
        else:  # a plain im2rec file: every record is an image
            self.image_keys = np.sort(self.records.keys)
            self.identity_ranges = self._ranges_of_plain()
        if images_filter > 0:
            self._filter(images_filter)

    def close(self) -> None:
        """Release the files."""
        self.records.close()

    def sample(self, key: int) -> tuple[np.ndarray, int]:
        """Return the image of a key, RGB uint8 (height, width, 3), and its identity.

        Raises ValueError naming the key if the record is damaged or does not decode.
        """
        record = self.records.read(key)
        name = f"{self.records.rec_path}: record {key}"
        rgb = decode_rgb(record.payload, name, cure=FIND_BAD, max_pixels=CROP_PIXELS)
        return fit_height(rgb, self.image_shape, name), int(record.first_label)

    def identities(self, keys: np.ndarray) -> np.ndarray:
        """Return the identity of each image key, int64 (N,), without touching the images."""
        return self.records.headers(keys)["labels"][:, 0].astype(np.int64)

    @cached_property
    def keys_by_identity(self) -> list[np.ndarray]:
        """Image keys of each identity, those in several runs brought together; the order is
        that of the identities' numbers."""
        identities = self.identities(self.identity_ranges[:, 0])
        order = np.argsort(identities, kind="stable")
        return [
            keys_in(self.identity_ranges[order[begin:end]])
            for begin, end in runs(identities[order])
        ]

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with the index, property or file size."""
        digest = hashlib.sha256((self.folder / "train.idx").read_bytes())
        digest.update((self.folder / "property").read_bytes())
        digest.update(str(self.records.rec_path.stat().st_size).encode())
        return digest.hexdigest()[:16]

    def _ranges_of_plain(self) -> np.ndarray:
        """Return the runs of one identity over keys that follow each other, int64 (K, 2)."""
        identities = self.identities(self.image_keys)
        self._check_classes(self.image_keys[[int(identities.argmax()), int(identities.argmin())]])
        # A gap between keys ends a run, as a change of identity does.
        step = np.diff(self.image_keys, prepend=self.image_keys[0]) != 1
        change = np.diff(identities, prepend=identities[0]) != 0
        found = runs(np.cumsum(step | change))
        return np.stack([self.image_keys[found[:, 0]], self.image_keys[found[:, 1] - 1] + 1], 1)

    def _check_classes(self, keys: np.ndarray) -> None:
        """Raise ValueError if an image among keys has an identity outside 0..num_classes-1."""
        for key, identity in zip(keys, self.identities(keys), strict=True):
            if not 0 <= identity < self.num_classes:
                raise ValueError(
                    f"{self.records.rec_path}: record {key} has identity {identity}, but "
                    f"{self.folder / 'property'} says {self.num_classes} identities, numbered "
                    "from 0; correct its first number, or pack again with labels from 0"
                )

    def _filter(self, least: int) -> None:
        groups = [keys for keys in self.keys_by_identity if len(keys) >= least]
        if not groups:
            most = max(map(len, self.keys_by_identity))
            raise ValueError(
                f"--images-filter {least}: no identity of {self.folder} has that many images; "
                f"the most is {most}"
            )
        self.keys_by_identity = groups
        self.image_keys = np.sort(np.concatenate(groups))
        kept = np.isin(self.identity_ranges[:, 0], self.image_keys)
        self.identity_ranges = self.identity_ranges[kept]


def read_property(path: str | os.PathLike) -> tuple[int, tuple[int, int]]:
    """Return the number of identities and (height, width) that a property file says.

    It is the last line NUM_CLASSES,HEIGHT,WIDTH; the further lines of later tools (a count,
    "shuffled", a date) are passed over.  Raises ValueError if there is none.
    """
    text = read_text(path, "property", names=True, limit=LARGEST_PROPERTY)
    number = r"\s*([0-9]{1,9})\s*"
    rows = [re.fullmatch(",".join([number] * 3), line) for line in text.split("\n")]
    found = [tuple(map(int, row.groups())) for row in rows if row]
    if not found or 0 in found[-1]:
        raise ValueError(
            f"{path}: expected a line NUM_CLASSES,HEIGHT,WIDTH such as 85164,112,112, found "
            f"{text.strip()[:80]!r}; correct it, or let face2rec2.py write it"
        )
    num_classes, height, width = found[-1]
    return num_classes, (height, width)

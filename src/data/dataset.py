"""A folder of training faces: train.rec, train.idx and property."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
import hashlib
import logging
import os
from pathlib import Path
import re

import numpy as np
from tqdm import tqdm

from ..files import reading_set
from ..text import read_text
from .contradictions import Cures, Faults, label_faults, property_notes, range_label_faults
from .images import CROP_PIXELS, RESIZED, decode_rgb, fit_height
from .labels import refuse_too_many, whole_numbers
from .opening import key_faults, opening_faults
from .ranges import keys_in, layout_of, read_ranges, runs
from .records import RecordReader

LARGEST_PROPERTY = 1 << 20  # bytes
PACK = "pack photos with face2rec2.py (docs/datasets.md)"
SAMPLES, SAMPLE_BYTES = 256, 64  # images of a fingerprint, and bytes of each
FIRST = 8  # images whose size is looked at before memory for batches is taken
AT_ONCE = 100_000  # labels that are read between two steps of a progress bar

log = logging.getLogger(__name__)


class UnreadableError(ValueError):
    """A record is damaged, does not decode, or has another size."""


class FaceDataset:
    """Images and identities of a dataset folder.  Reading is safe from several threads.

    image_size: (height, width) instead of property's.  images_filter: identities with fewer
    images are left out; the others keep their numbers.

    num_classes: identities that the classifier has, from property
    image_shape: (height, width) of every sample
    image_keys: int64 (N,) keys of the images

    What the index, record 0, the identity records and property say is compared with the labels
    of the images: all of them in a small file, 10,000 in a large one (`arcface-rec check` takes
    all).  Raises FileNotFoundError for a missing folder or file, ValueError with the cure for
    a file that is damaged, cut off, or contradicts itself or the others, or where packing was
    interrupted.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        image_size: Sequence[int] = (),
        images_filter: int = 0,
    ):
        self.folder = Path(folder)
        check_files(self.folder)
        self._cures = Cures(self.folder)
        self._cure = f"`arcface-rec check {self.folder}` finds all such; {self._cures.skip}"
        rec, idx = self.folder / "train.rec", self.folder / "train.idx"
        with reading_set(rec, idx, self.folder / "property"):
            self.num_classes, self.image_shape = read_property(self.folder / "property")
            refuse_too_many(self.num_classes, self.folder / "property")
            self.records = RecordReader(rec, idx)
        if image_size:
            self.image_shape = (int(image_size[0]), int(image_size[1]))
        try:
            self._open()
        except BaseException:
            self.records.close()
            raise
        if images_filter > 0:
            self._filter(images_filter)

    def _open(self) -> None:
        self.layout = layout_of(self.records)
        self._refuse(key_faults(self.records, self.layout, self._cures))
        ranges = read_ranges(self.records, self.layout) if self.layout.kind == "ranges" else None
        self._ranges = ranges
        self._claims: tuple[np.ndarray, np.ndarray] | None = None
        faults = opening_faults(self.records, self.layout, ranges, self.num_classes, self._cures)
        self._refuse(faults)
        found = None if ranges is None else len(ranges)
        declared = self.layout.declared
        for note in property_notes(self.num_classes, found, declared, None, self._cures):
            log.warning("%s", note)
        if self.layout.kind == "plain":
            self.image_keys = self.records.sorted_keys
        else:
            self.image_keys = np.arange(1, self.layout.num_images + 1)

    def _refuse(self, faults: Faults) -> None:
        if faults:
            raise ValueError(f"{self.records.rec_path} contradicts itself:\n{faults}")

    def refuse_other_size(self) -> None:
        """Raise ValueError if none of the first images has image_shape: then no batch would."""
        fault = None
        for key in self.image_keys[:FIRST].tolist():
            try:
                self.sample(key)
                return
            except UnreadableError as error:
                if RESIZED not in str(error):
                    return  # told when it is drawn
                fault = fault or error
        if fault is not None:
            raise ValueError(f"{fault}; `arcface-rec repair {self.folder}` corrects property")

    def close(self) -> None:
        """Release the files."""
        self.records.close()

    def sample(self, key: int) -> tuple[np.ndarray, int]:
        """Return the image of a key, RGB uint8 (height, width, 3), and its identity.

        Raises, naming the key, UnreadableError if the record is damaged or does not decode,
        ValueError if its label is no identity of property.
        """
        name = f"{self.records.rec_path}: record {key}"
        try:
            record = self.records.read(key)
        except ValueError as error:
            raise UnreadableError(str(error)) from None
        label = record.first_label
        if not (0 <= label < self.num_classes and label == int(label)):
            self._refuse(self._label_faults(np.array([key]), np.float32([label])))
        self._check_claim(key, int(label))
        try:
            rgb = decode_rgb(record.payload, name, cure=self._cure, max_pixels=CROP_PIXELS)
            return fit_height(rgb, self.image_shape, name), int(label)
        except ValueError as error:
            raise UnreadableError(str(error)) from None

    def _check_claim(self, key: int, identity: int) -> None:
        """Compare an image with the identity records, if its identity was taken from them."""
        if self._claims is None:
            return
        first, claimed = self._claims
        claim = int(claimed[np.searchsorted(first, key, "right") - 1])
        if claim != identity:
            raise ValueError(
                f"{self.records.rec_path}: record {key} has label {identity}, but an identity "
                f"record holds it as an image of identity {claim}; {self._cures.repair}"
            )

    def identities(self, keys: np.ndarray) -> np.ndarray:
        """Return the identity of each image key, int64 (N,), without touching the images.

        Raises ValueError that names the keys of labels that are no identity of property.
        """
        keys = np.asarray(keys, np.int64)
        parts = [np.zeros(0, np.float32)]
        for begin in tqdm(
            range(0, len(keys), AT_ONCE), desc="labels", unit="00,000", leave=False,
            disable=len(keys) < 10 * AT_ONCE or None,
        ):  # fmt: skip
            headers = self.records.headers(keys[begin : begin + AT_ONCE])
            parts.append(headers["labels"][:, 0].copy())
        labels = np.concatenate(parts)
        self._refuse(self._label_faults(keys, labels))
        return whole_numbers(labels)[0]

    def _label_faults(self, keys: np.ndarray, labels: np.ndarray) -> Faults:
        faults = Faults()
        label_faults(faults, keys, labels, self.num_classes, self._cures)
        return faults

    @cached_property
    def identity_ranges(self) -> np.ndarray:
        """First and past last key of each run of one identity, int64 (K, 2), in the order of the
        keys; a list grouped by identity gives one run per identity.

        From the identity records, whose ends are compared with the labels; without such records
        from the labels of all images, which reads through the file once.
        """
        if self._ranges is None:
            found = self._runs(self.image_keys, self.identities(self.image_keys))
            return np.stack([self.image_keys[found[:, 0]], self.image_keys[found[:, 1] - 1] + 1], 1)
        ranges = self._ranges[np.argsort(self._ranges[:, 0], kind="stable")]
        ends = np.stack([ranges[:, 0], ranges[:, 1] - 1], axis=1)
        identities = self.identities(ends.ravel())
        faults = Faults()
        range_label_faults(
            faults, self._ranges, self.layout.start, ends.ravel(), identities.astype(np.float32),
            self._cures,
        )  # fmt: skip
        self._refuse(faults)
        found = runs(identities[::2])  # neighbours of one label are one person
        merged = np.stack([ranges[found[:, 0], 0], ranges[found[:, 1] - 1, 1]], axis=1)
        self._claims = merged[:, 0], identities[::2][found[:, 0]]
        return merged

    @staticmethod
    def _runs(keys: np.ndarray, identities: np.ndarray) -> np.ndarray:
        """Return begin and end of the runs of one identity over keys that follow each other; a
        gap between keys ends a run, as a change of identity does."""
        step = np.diff(keys, prepend=keys[0]) != 1
        change = np.diff(identities, prepend=identities[0]) != 0
        return runs(np.cumsum(step | change))

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

    def count_identities(self) -> int:
        """Return how many identities have images; num_classes counts the others too."""
        return len(np.unique(self.identities(self.identity_ranges[:, 0])))

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with the index, property or file size, a dash,
        and 16 that change with the images: with bytes out of the middle of SAMPLES of them.

        See is_same_data().
        """
        digest = self.records.index_digest.copy()
        digest.update((self.folder / "property").read_bytes())
        digest.update(str(self.records.rec_path.stat().st_size).encode())
        images = hashlib.sha256()
        keys = self.records.sorted_keys  # of all: --images-filter makes no other data
        for place in np.linspace(0, len(keys) - 1, min(SAMPLES, len(keys))).astype(np.int64):
            images.update(self._middle(int(keys[place])))
        return f"{digest.hexdigest()[:16]}-{images.hexdigest()[:16]}"

    def _middle(self, key: int) -> bytes:
        try:
            payload = self.records.read(key).payload
        except ValueError:  # told when it is drawn
            return b""
        return payload[len(payload) // 2 :][:SAMPLE_BYTES]

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


def is_same_data(was: object, now: str) -> bool:
    """Return whether two fingerprints are of one dataset.  was: of any version; older ones have
    no digits of the images, and then nothing is known of these."""
    return was in (now, now.partition("-")[0])


def check_files(folder: Path) -> None:
    """Raise FileNotFoundError that names a missing file of a dataset, and what makes it."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no dataset folder {folder.absolute()}; {PACK}")
    for name in ("train.rec", "train.idx", "property"):
        if not (folder / name).is_file():
            cure = PACK
            if (folder / "train.rec").is_file():
                cure = f"`arcface-rec repair {folder}` makes it from train.rec"
            raise FileNotFoundError(f"{folder.absolute()} has no file {name}; {cure}")


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
            f"{text.strip()[:80]!r}; correct it, or let `arcface-rec repair {Path(path).parent}` "
            "make it from train.rec; where that is packed anew, delete it first"
        )
    num_classes, height, width = found[-1]
    return num_classes, (height, width)

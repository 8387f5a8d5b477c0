"""Facts of a dataset that are written down twice, compared: pure functions over arrays.

What decides is the label in an image's own record.  Identity records, the header, the index, the
ids and property only repeat it, or where the images are, and each can be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .labels import whole_numbers
from .ranges import runs

SHOWN = 20  # faults of a kind that are told one by one
AT_ONCE = 1 << 20  # images whose labels are compared in one go
KEPT = 0.5  # with more of the ids equal to the keys, a writer meant them to be


@dataclass
class Faults:
    """What was found to be wrong: the texts of the first SHOWN of each kind, in the order of
    their finding, how many there are in all, and by which commands they are cured."""

    texts: list[str] = field(default_factory=list)
    count: int = 0
    cures: list[str] = field(default_factory=list)

    def add(self, found: Iterable[str], cure: str, count: int | None = None) -> None:
        """Take down texts of one kind; count: how many these are, if not all have a text."""
        told, number = [], 0
        for number, text in enumerate(found, start=1):
            if number > SHOWN and count is not None:
                break
            if number <= SHOWN:
                told.append(text)
        total = number if count is None else count
        self.texts += told
        if total > len(told):
            self.texts.append(f"... and {total - len(told)} more of this kind")
        self.count += total
        if total and cure not in self.cures:
            self.cures.append(cure)

    def add_at(self, places: np.ndarray, text: object, cure: str) -> None:
        """Take down text(place) of each of the places of an array."""
        self.add((text(int(place)) for place in places[:SHOWN]), cure, len(places))

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        return "\n".join([*self.texts, *(f"cure: {cure}" for cure in self.cures)])


class Cures(NamedTuple):
    """The commands that mend a folder, as messages name them."""

    folder: object

    @property
    def repair(self) -> str:
        """Index, property, header and identity records from the labels."""
        return f"`arcface-rec repair {self.folder}` writes them anew from the labels of the images"

    @property
    def relabel(self) -> str:
        """The same images with other numbers."""
        return f"`arcface-rec relabel {self.folder} NEW` closes gaps in their numbers"

    @property
    def size(self) -> str:
        """Of property, where no image has it."""
        return f"`arcface-rec repair {self.folder}` takes the size for property from the images"

    @property
    def skip(self) -> str:
        """The same dataset without bad records."""
        return f"`arcface-rec copy {self.folder} NEW --skip-bad` copies the rest without them"


def label_faults(
    faults: Faults, keys: np.ndarray, labels: np.ndarray, num_classes: int, cures: Cures
) -> None:
    """Compare labels, float32 (N,), of image keys with the number of identities; 0: unknown."""
    identities, is_whole = whole_numbers(labels)
    faults.add_at(
        np.flatnonzero(~is_whole),
        lambda i: (
            f"record {keys[i]} has the label {labels[i]:.8g}, which is no identity: those are "
            "0, 1, 2, ..."
        ),
        cures.skip,
    )
    if num_classes:
        faults.add_at(
            np.flatnonzero(is_whole & (identities >= num_classes)),
            lambda i: (
                f"record {keys[i]} has identity {identities[i]}, but "
                f"{cures.folder}/property says {num_classes} identities, numbered from 0"
            ),
            f"if the labels are right, {cures.repair}; {cures.relabel}; if property is right, "
            f"{cures.skip}",
        )


def ids_are_kept(keys: np.ndarray, ids: np.ndarray) -> bool:
    """Tell whether the writer stored the keys as ids; some leave them 0, or as they were."""
    return bool(len(keys) and (ids == keys.astype(np.uint64)).mean() > KEPT)


def id_faults(faults: Faults, keys: np.ndarray, ids: np.ndarray, cures: Cures) -> None:
    """Compare the keys of the index with the ids in the records, where a writer kept them."""
    if ids_are_kept(keys, ids):
        faults.add_at(
            np.flatnonzero(ids != keys.astype(np.uint64)),
            lambda i: f"record {keys[i]} of the index says of itself that it is record {ids[i]}",
            cures.repair,
        )


def tile_faults(
    faults: Faults, ranges: np.ndarray, start: int, num_images: int, cures: Cures
) -> np.ndarray:
    """Compare identity records, ranges (K, 2) with keys from start on, with each other: every
    image 1..num_images stands in one.  Return the ranges that lie within the images."""
    first, past = ranges[:, 0], ranges[:, 1]
    bad = (first < 1) | (first >= past) | (past > num_images + 1)
    faults.add_at(
        np.flatnonzero(bad),
        lambda i: (
            f"record {start + i} says that identity {i} has the images {first[i]} to "
            f"{past[i] - 1} of {num_images}"
        ),
        cures.repair,
    )
    rows = np.flatnonzero(~bad)
    rows = rows[np.argsort(first[rows], kind="stable")]
    begins = np.append(first[rows], num_images + 1)
    ends = np.append(1, np.maximum.accumulate(past[rows])) if len(rows) else np.array([1])
    faults.add_at(
        np.flatnonzero(begins > ends),
        lambda i: (
            f"no identity record holds the images {ends[i]} to {begins[i] - 1}, but record 0 "
            f"says that there are {num_images}"
        ),
        cures.repair,
    )
    faults.add_at(
        np.flatnonzero(begins < ends),
        lambda i: (
            f"record {start + rows[i]} holds image {begins[i]}, which record "
            f"{start + rows[i - 1]} or one before holds too"
        ),
        cures.repair,
    )
    return ranges[~bad]


def range_label_faults(
    faults: Faults, ranges: np.ndarray, start: int, keys: np.ndarray, labels: np.ndarray,
    cures: Cures,
) -> None:  # fmt: skip
    """Compare identity records with the labels, float32 (n,), of some image keys, ascending."""
    if not len(ranges):
        return
    order = np.argsort(ranges[:, 0], kind="stable")
    firsts = ranges[order, 0]
    for begin in range(0, len(keys), AT_ONCE):
        some = slice(max(begin - 1, 0), begin + AT_ONCE)  # one again: a range may go on
        key, label = keys[some], labels[some]
        row = order[np.maximum(np.searchsorted(firsts, key, "right") - 1, 0)]
        inside = (key >= ranges[row, 0]) & (key < ranges[row, 1])
        if inside.any():
            _one_label_each(
                faults, ranges, start, key[inside], label[inside], row[inside], cures
            )  # fmt: skip


def _one_label_each(
    faults: Faults, ranges: np.ndarray, start: int, keys: np.ndarray, labels: np.ndarray,
    row: np.ndarray, cures: Cures,
) -> None:  # fmt: skip
    """Compare labels of keys within each row of ranges, (n,), with the first of them."""
    found = runs(row)
    reference = np.repeat(found[:, 0], found[:, 1] - found[:, 0])
    faults.add_at(
        np.flatnonzero(labels != labels[reference]),
        lambda i: (
            f"record {start + row[i]} says that one identity has the images "
            f"{ranges[row[i], 0]} to {ranges[row[i], 1] - 1}, but image {keys[i]} has label "
            f"{labels[i]:.8g} and image {keys[reference[i]]} label {labels[reference[i]]:.8g}"
        ),
        cures.repair,
    )


def missing_keys(keys: np.ndarray, first: int, past_last: int) -> tuple[int, int]:
    """Return how many of first <= key < past_last are absent, and the first of them.

    keys: int64 (N,), ascending, none twice.
    """
    begin, end = np.searchsorted(keys, [first, past_last])
    count = past_last - first - int(end - begin)
    if count == 0:
        return 0, 0
    there = keys[begin:end]
    gap = np.flatnonzero(there != np.arange(first, first + len(there)))
    return count, int(first + (gap[0] if len(gap) else len(there)))


def property_notes(
    num_classes: int, num_records: int | None, declared: int | None, top: int | None, cures: Cures
) -> Iterator[str]:
    """Yield what disagrees with the number of identities in property without making training
    wrong: it has more than there are.

    num_records: identity records.  declared: identities of a header that says them.
    top: the largest label.  None: not known.
    """
    says = f"{cures.folder}/property says {num_classes} identities"
    if top is not None and top + 1 < num_classes:
        yield f"{says}, but the labels of the images end with {top}; {cures.repair}"
    elif num_records is not None and num_records < num_classes:
        yield (
            f"{says}, but record 0 has only {num_records} identity records; the others have no "
            f"image; {cures.relabel}"
        )
    elif declared is not None and declared != num_classes:
        yield f"{says}, but record 0 says {declared}; {cures.repair}"

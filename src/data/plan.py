"""Which images a new dataset gets, with which keys and identities: arrays, nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .facts import Facts
from .labels import refuse_too_many, whole_numbers


@dataclass(frozen=True)
class Part:
    """Images of one folder in the order in which they are written.

    rows: of its scan, int64 (n,).  keys, identities: int64 (n,), the new ones.
    """

    facts: Facts
    rows: np.ndarray
    keys: np.ndarray
    identities: np.ndarray

    def of(self, chosen: np.ndarray) -> Part:
        """Return the images where chosen, bool or places (n,), says so."""
        return replace(
            self,
            rows=self.rows[chosen],
            keys=self.keys[chosen],
            identities=self.identities[chosen],
        )


@dataclass(frozen=True)
class Plan:
    """A dataset to write.  kind: of its Layout.  names: of the identities, by number, or empty.
    is_scalar: labels are stored as one number in the header."""

    parts: tuple[Part, ...]
    kind: str
    image_shape: tuple[int, int]
    names: dict[int, str]
    is_scalar: bool = False

    @property
    def keys(self) -> np.ndarray:
        return np.concatenate([part.keys for part in self.parts])

    @property
    def identities(self) -> np.ndarray:
        return np.concatenate([part.identities for part in self.parts])

    @property
    def num_classes(self) -> int:
        return int(self.identities.max()) + 1


def part_of(facts: Facts, *, skip_bad: bool = False) -> tuple[Part, int]:
    """Return all images of a folder with their own keys and identities, and how many bad ones
    were left out: without a payload or an identity, or judged bad.

    Raises ValueError for a folder that contradicts itself, unless skip_bad.
    """
    if facts.faults and not skip_bad:
        raise ValueError(f"{facts.folder}: {facts.faults.count} faults\n{facts.faults}")
    rows, labels = facts.roles.images, facts.labels
    identities, is_good = whole_numbers(labels)
    keys = facts.keys[rows]
    if skip_bad:
        is_good &= facts.scan.headers["size"][rows] > 0
        is_good &= ~np.isin(rows, np.fromiter(facts.scan.bad, np.int64, len(facts.scan.bad)))
        if facts.num_classes is not None:
            is_good &= identities < facts.num_classes
    if not is_good.any():
        raise ValueError(f"{facts.folder}: no image is left")
    part = Part(facts, rows, keys, identities).of(is_good)
    return part, len(rows) - int(is_good.sum())


def numbered(part: Part, first: int = 1) -> Part:
    """Return the part with keys from `first` on, grouped by identity as far as it was: in the
    order of the old keys where they are known, else of the file."""
    known = (part.keys >= 0).all() and len(np.unique(part.keys)) == len(part.keys)
    order = np.argsort(part.keys, kind="stable") if known else np.arange(len(part.keys))
    keys = np.empty(len(order), np.int64)
    keys[order] = np.arange(first, first + len(order))
    return replace(part, keys=keys)


def grouped(part: Part) -> Part:
    """Return the part with keys from 1 on in the order of identities; the file's order stays."""
    order = np.lexsort((numbered(part).keys, part.identities))
    keys = np.empty(len(order), np.int64)
    keys[order] = np.arange(1, len(order) + 1)
    return replace(part, keys=keys)


def renumbered(part: Part, names: dict[int, str]) -> tuple[Part, dict[int, str]]:
    """Return the part with identities 0, 1, ... without gaps, and names for them: the old ones,
    or the old numbers."""
    old, identities = np.unique(part.identities, return_inverse=True)
    new_names = {number: names.get(int(was), str(was)) for number, was in enumerate(old)}
    return replace(part, identities=identities.astype(np.int64)), new_names


def of_identities(part: Part, wanted: Sequence[int], *, without: bool = False) -> Part:
    """Return the images of some identities, or of all others.

    Raises ValueError for a number that has no image, and where none is left.
    """
    absent = sorted(set(wanted) - set(np.unique(part.identities).tolist()))
    if absent:
        raise ValueError(
            f"--identities {absent[0]}: {part.facts.folder} has no image of it; {len(absent)} such"
        )
    chosen = np.isin(part.identities, list(wanted)) != without
    if not chosen.any():
        raise ValueError(f"{part.facts.folder}: no image is left")
    return part.of(chosen)


def with_images(part: Part, least: int) -> Part:
    """Return the images of identities that have at least so many.  Raises ValueError if none."""
    counts = np.bincount(part.identities)
    chosen = counts[part.identities] >= least
    if not chosen.any():
        raise ValueError(
            f"--images-filter {least}: no identity of {part.facts.folder} has that many images; "
            f"the most is {counts.max()}"
        )
    return part.of(chosen)


def drawn_identities(part: Part, count: int, seed: int) -> np.ndarray:
    """Return `count` of the identities, drawn by the seed, ascending."""
    there = np.unique(part.identities)
    if not 0 < count <= len(there):
        raise ValueError(f"{count} identities: {part.facts.folder} has {len(there)} with images")
    return np.sort(np.random.default_rng(seed).choice(there, count, replace=False))


def at_most(part: Part, images: int, seed: int) -> Part:
    """Return at most so many images of each identity, drawn by the seed."""
    if images < 1:
        raise ValueError(f"--images {images}: at least 1")
    draw = np.random.default_rng(seed).random(len(part.rows))
    order = np.lexsort((draw, part.identities))
    begins = np.flatnonzero(np.diff(part.identities[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    return part.of(np.sort(order[place < images]))


def merged(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with keys and identities of each following those of the one before.

    An identity keeps its number within its folder, counted from the end of the folder before.
    Raises ValueError if they hold more identities than labels can tell apart.
    """
    done, key, identity = [], 1, 0
    for part in parts:
        count = max(part.facts.num_classes or 0, int(part.identities.max()) + 1)
        part = numbered(part, key)
        done.append(replace(part, identities=part.identities + identity))
        key, identity = key + len(part.rows), identity + count
    refuse_too_many(identity, "merge")
    return done

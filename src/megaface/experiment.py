"""One MegaFace experiment: lists and features in, one IdentificationResult per list out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import os

import numpy as np
from tqdm import tqdm

from ..data.list_faults import is_of_other_data, two_of_each
from .feature_source import FeatureFolder, StoredFeatures, open_features
from .lists import DistractorList, ProbeList
from .search import BLOCK, IdentificationResult, identify

READ_AT_ONCE = 4096  # features tried at a time for NaN and zeros


@dataclass(frozen=True)
class LeftOut:
    """Images of the lists that took no part, with the reason; empty unless missing is allowed."""

    probes: dict[str, str]
    distractors: dict[str, str]
    people: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.probes or self.distractors)


@dataclass(frozen=True)
class Experiment:
    """What was compared and what came out: results[i] belongs to lists[i].

    probe_names, probe_ids, probes: the images that took part, float32 (P, D).
    distractor_names: by the row numbers in results.
    """

    algorithm: str
    probe_list: ProbeList
    lists: list[DistractorList]
    probe_names: list[str]
    probe_ids: list[str]
    probes: np.ndarray
    distractor_names: list[str]
    results: list[IdentificationResult]
    left_out: LeftOut


class BadFeatures(ValueError):
    """Features are missing or useless.  faults: reason by path."""

    def __init__(self, faults: dict[str, str]):
        self.faults = faults
        listing = "".join(f"\n  {path}: {fault}" for path, fault in list(faults.items())[:10])
        more = f"\n  ... and {len(faults) - 10} more" if len(faults) > 10 else ""
        super().__init__(
            f"{len(faults)} features are missing or useless; make them, or leave them out with "
            f"--allow-missing:{listing}{more}"
        )


def run(
    algorithm: str,
    ending: str,
    probe_list: ProbeList,
    probe_place: str | os.PathLike,
    lists: Sequence[DistractorList],
    distractor_place: str | os.PathLike,
    *,
    allow_missing: bool = False,
    block: int = BLOCK,
    threads: int | None = None,
    progress: bool = False,
) -> Experiment:
    """Return the experiment over features in folders or stores (feature_source.open_features).

    Raises BadFeatures listing what is missing or useless (unless allowed), and ValueError for
    features of two dimensions or people with a single image.
    """
    names, rows = _pool(lists)
    probe_set = open_features(probe_place, probe_list.paths, ending)
    distractor_set = open_features(distractor_place, names, ending)
    if probe_set.dim != distractor_set.dim:
        raise ValueError(
            f"probes have {probe_set.dim} values ({probe_set.path}), distractors "
            f"{distractor_set.dim} ({distractor_set.path}); were both cleaned of noise?"
        )
    probe_faults = _faults(probe_set, allow_missing)
    distractor_faults = _faults(distractor_set, allow_missing)
    faults = {probe_list.paths[row]: fault for row, fault in probe_faults.items()}
    faults |= {names[row]: fault for row, fault in distractor_faults.items()}
    if faults and not allow_missing:
        raise BadFeatures(faults)
    keep, alone = _with_mates(probe_list, probe_faults)
    left_out = LeftOut(
        {probe_list.paths[row]: fault for row, fault in probe_faults.items()},
        {names[row]: fault for row, fault in distractor_faults.items()},
        alone,
    )
    if distractor_faults:
        gone = np.zeros(len(names), bool)
        gone[list(distractor_faults)] = True
        rows = [some[~gone[some]] for some in rows]
    if len(keep) == 0 or min(len(some) for some in rows) == 0:
        raise ValueError("nothing is left to compare: every probe or distractor is missing")
    probes = _read(probe_set, keep)
    probe_ids = [probe_list.ids[row] for row in keep]
    results = identify(
        probes,
        probe_ids,
        lambda some: _read(distractor_set, some),
        rows,
        block=block,
        threads=threads,
        progress=progress,
    )
    probe_names = [probe_list.paths[row] for row in keep]
    return Experiment(
        algorithm,
        probe_list,
        list(lists),
        probe_names,
        probe_ids,
        probes,
        names,
        results,
        left_out,
    )


def _pool(lists: Sequence[DistractorList]) -> tuple[list[str], list[np.ndarray]]:
    """Return all distractors, each once, in order of appearance, and the rows of each list."""
    row_of: dict[str, int] = {}
    for one in sorted(lists, key=lambda one: one.size):
        for path in one.paths:
            row_of.setdefault(path, len(row_of))
    rows = [np.fromiter(map(row_of.__getitem__, one.paths), np.int64) for one in lists]
    return list(row_of), rows


def _faults(features: FeatureFolder | StoredFeatures, read_all: bool) -> dict[int, str]:
    """Return what is wrong, by row: absent, of another size; if read_all NaN and zeros too.

    Without read_all the search itself stops at NaN and zeros.  Raises ValueError if almost all
    are absent: those features are of another list.
    """
    faults = features.faults()
    absent = [features.names[row] for row, fault in faults.items() if fault == "missing"]
    if is_of_other_data(len(features.names) - len(absent), len(features.names)):
        raise ValueError(
            f"{features.path}: {len(absent)} of {len(features.names)} features of the list are "
            f"missing; {two_of_each(absent, features.there(), ('the list', 'there'))}"
        )
    if read_all:
        good = np.setdiff1d(np.arange(len(features.names)), list(faults))
        blocks = range(0, len(good), READ_AT_ONCE)
        for at in tqdm(blocks, desc=f"read {features.path.name}", disable=None):
            faults |= features.useless(good[at : at + READ_AT_ONCE])
    return faults


def _read(features: FeatureFolder | StoredFeatures, rows: np.ndarray) -> np.ndarray:
    """Return features.read(rows).  Raises ValueError saying what to do about a bad one."""
    try:
        return features.read(rows)
    except ValueError as error:
        raise ValueError(
            f"{error}; make it anew, or leave all such out with --allow-missing"
        ) from None


def _with_mates(probe_list: ProbeList, faults: dict[int, str]) -> tuple[np.ndarray, tuple]:
    """Return the probe rows to use, and the people whom the faults left a single image."""
    keep = np.array([row for row in range(len(probe_list.paths)) if row not in faults], np.int64)
    if not faults:
        return keep, ()
    ids = np.array(probe_list.ids)
    before = dict(zip(*np.unique(ids, return_counts=True), strict=True))
    people, images = np.unique(ids[keep], return_counts=True)
    alone = [one for one, count in zip(people, images, strict=True) if count == 1 < before[one]]
    return keep[~np.isin(ids[keep], alone)], tuple(map(str, alone))

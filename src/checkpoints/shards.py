"""The classifier of a run whose rows are shared out: files beside a checkpoint, one per process.

PREFIX-last-fc7-STEP-0-of-3.params       arg:fc7_weight (and fc7_bias): the rows of a range
PREFIX-last-fc7-STEP-0-of-3-state.params state:mom:fc7_weight ...: the optimizer's, the same rows
PREFIX-0001-fc7-0-of-3.params            those of a numbered checkpoint, without states
PREFIX-0001-fc7.json                     which ranges the latter hold

The files of a step are written before the last state that names them (its record's "classifier"),
and those of the step before go after it: whatever is interrupted, the last state that is there has
its files.  All are parameter files as others are, of rows in the order of the identities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
import json
import os
from pathlib import Path
import re
import shutil
from typing import Any, NamedTuple

import numpy as np

from ..files import replace_file, replace_path
from ..limits import shown
from ..text import read_json
from .last_state import RECORD, STATE, LastState, read_last
from .names import LAST, existing_params, params_path, split_checkpoint
from .params import write_params
from .stored_rows import StoredRows

ARG = "arg:"
MARK = "run:mark"
BEGIN = "run:begin"  # the first identity of a file's range
LARGEST_LIST = 1 << 20  # bytes


class Ranges(NamedTuple):
    """What the files of a classifier hold.

    identities: of all together.  rows: of each parameter, how many an identity has.  slices: of
    the identities, one for each file.  count: of the optimizer's updates.  step: of the last state.
    mark: a number that all files of one saving have, and no others; 0 for none.
    """

    identities: int
    rows: dict[str, int]
    slices: list[list[int]]
    count: int
    step: int
    mark: int = 0

    @classmethod
    def of(cls, record: Any, source: str) -> Ranges:
        """Return those of a record.  Raises ValueError that names its source."""
        if not isinstance(record, dict) or record.keys() | {"mark"} != {*cls._fields}:
            raise ValueError(f"{source}: classifier is {shown(record)}, not what its files hold")
        found = cls(**record)
        numbers = [found.identities, found.count, found.step, found.mark]
        if not isinstance(found.rows, dict) or not isinstance(found.slices, list):
            raise ValueError(f"{source}: classifier is {shown(record)}, not what its files hold")
        numbers += found.rows.values()
        ends = [0]
        for one in found.slices:
            is_range = isinstance(one, list) and [type(end) for end in one] == [int, int]
            is_next = is_range and one[0] == ends[-1] < one[1]
            ends.append(one[1] if is_next else -1)
        if any(type(n) is not int or n < 0 for n in numbers) or ends[-1] != found.identities:
            raise ValueError(f"{source}: classifier is {shown(record)}, not what its files hold")
        return found


def shard_path(prefix: str, number: int | str, ranges: Ranges, rank: int) -> Path:
    """Return the file of the parameters of one range; its states lie in states_path() of it."""
    which = f"{LAST}-fc7-{ranges.step:09d}" if number == LAST else f"{number:04d}-fc7"
    return Path(f"{prefix}-{which}-{rank}-of-{len(ranges.slices)}.params")


def states_path(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".params") + "-state.params")


def list_path(prefix: str, number: int) -> Path:
    """Return the file that says which ranges the files of a numbered checkpoint hold."""
    return Path(f"{prefix}-{number:04d}-fc7.json")


def write_shard(
    prefix: str, ranges: Ranges, rank: int, params: Mapping[str, Any], states: Mapping[str, Any]
) -> None:
    """Write the two files of one process; the last state that names them comes afterwards."""
    path = shard_path(prefix, LAST, ranges, rank)
    numbers = {MARK: ranges.mark, BEGIN: ranges.slices[rank][0]}
    marks = {name: np.array([number], np.int64) for name, number in numbers.items()}
    write_params(path, {ARG + name: array for name, array in params.items()} | marks)
    states = {STATE + name: array for name, array in states.items()}
    write_params(states_path(path), states | marks)


def remove_others(prefix: str, ranges: Ranges | None) -> None:
    """Remove the files of other last states than the one that is there; None: of all."""
    kept = set()
    if ranges:
        paths = [shard_path(prefix, LAST, ranges, rank) for rank in range(len(ranges.slices))]
        kept = {path.name for one in paths for path in (one, states_path(one))}
    _remove(prefix, rf"{LAST}-fc7-\d+-\d+-of-\d+", kept)


def keep_shards(prefix: str, number: int, ranges: Ranges) -> None:
    """Give a numbered checkpoint the classifier of the last state, by links where that can be."""
    paths = [shard_path(prefix, number, ranges, rank) for rank in range(len(ranges.slices))]
    for rank, path in enumerate(paths):
        source = shard_path(prefix, LAST, ranges, rank)
        with replace_path(path) as part:
            part.unlink()
            try:
                os.link(source, part)
            except OSError:
                shutil.copyfile(source, part)
    with replace_file(list_path(prefix, number), "w", encoding="utf-8") as file:
        json.dump(ranges._asdict(), file)
    _remove(prefix, rf"{number:04d}-fc7-\d+-of-\d+", {path.name for path in paths})


def drop_shards(prefix: str, number: int) -> None:
    """Remove the classifier that an earlier run has left beside a numbered checkpoint, which is
    about to be written without one."""
    list_path(prefix, number).unlink(missing_ok=True)
    _remove(prefix, rf"{number:04d}-fc7-\d+-of-\d+", set())


def _remove(prefix: str, which: str, kept: set[str]) -> None:
    """Remove the files of these ranges, a pattern, but those that are kept."""
    own = re.compile(re.escape(Path(prefix).name) + rf"-{which}(-state)?\.params")
    for path in Path(prefix).absolute().parent.iterdir():
        if own.fullmatch(path.name) and path.name not in kept:
            with suppress(OSError):
                path.unlink()


class StoredClassifier:
    """The classifier of a checkpoint, in files of ranges.

    Raises ValueError or FileNotFoundError for files that are missing or hold something else.
    """

    def __init__(self, prefix: str, number: int | str, ranges: Ranges, *, has_states: bool):
        self.ranges = ranges
        paths = [shard_path(prefix, number, ranges, rank) for rank in range(len(ranges.slices))]
        files = [(ARG, StoredRows(path)) for path in paths]
        if has_states:
            files += [(STATE, StoredRows(states_path(path))) for path in paths]
        self._files: dict[str, list[StoredRows]] = {}
        for (kind, file), (begin, _) in zip(files, ranges.slices * 2, strict=False):
            if file.number(BEGIN) not in (begin, None):  # older files do not say
                raise ValueError(
                    f"{file.path}: holds the rows from identity {file.number(BEGIN)} on, not from "
                    f"{begin} on as its name says; give the files the names that they had"
                )
            if (file.number(MARK) or 0) != ranges.mark:
                raise ValueError(
                    f"{file.path}: holds rows of another saving than the state that names it; put "
                    "the files of one saving back, or take another checkpoint"
                )
            for name in (name for name in file.places if name not in (MARK, BEGIN)):
                self._files.setdefault(name.removeprefix(kind), []).append(file)
        for name, held in self._files.items():
            for file, (begin, end) in zip(held, ranges.slices, strict=False):
                self._check(name, file, end - begin)
            if len(held) != len(ranges.slices) or name.rpartition(":")[2] not in ranges.rows:
                raise ValueError(f"{paths[0]}: {name} is not in all {len(ranges.slices)} files")

    def _check(self, name: str, file: StoredRows, identities: int) -> None:
        place = file.places.get(self._key(name))
        if place is None:
            raise ValueError(
                f"{file.path}: {shown(name)} is neither a parameter nor a state of one"
            )
        rows = self.ranges.rows.get(name.rpartition(":")[2], 0) * identities
        if place.dtype != np.float32 or len(place.shape) not in (1, 2) or place.shape[0] != rows:
            raise ValueError(
                f"{file.path}: {name} is {place.dtype} {place.shape}, not float32 of {rows} rows"
            )

    @staticmethod
    def _key(name: str) -> str:
        return (STATE if ":" in name else ARG) + name

    @property
    def names(self) -> list[str]:
        """The names of parameters and, such as mom:fc7_weight, of states."""
        return list(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of all ranges together."""
        rows = self.ranges.identities * self.ranges.rows[name.rpartition(":")[2]]
        return (rows, *self._files[name][0].places[self._key(name)].shape[1:])

    def read(self, name: str, begin: int, rows: np.ndarray) -> None:
        """Write the rows from `begin` on into `rows`, float32 and C-contiguous.

        Raises ValueError for rows that there are not.
        """
        each, end = self.ranges.rows[name.rpartition(":")[2]], begin + len(rows)
        if not 0 <= begin <= end <= self.shape(name)[0]:
            raise ValueError(f"{name} is {self.shape(name)}, and has no rows {begin} to {end}")
        for file, (first, last) in zip(self._files[name], self.ranges.slices, strict=True):
            low, high = max(begin, first * each), min(end, last * each)
            if low < high:
                file.read(self._key(name), low - first * each, rows[low - begin : high - begin])

    def whole(self, name: str) -> np.ndarray:
        found = np.empty(self.shape(name), np.float32)
        self.read(name, 0, found)
        return found


class WholeClassifier:
    """The classifier in a parameter file, if there is one, row by row.  As StoredClassifier.

    ranges: None, since nothing says how many rows an identity has.
    """

    ranges: None = None

    def __init__(self, path: Path):
        self._file = StoredRows(path)
        self.names = [
            name.removeprefix(ARG)
            for name, place in self._file.places.items()
            if name.startswith(f"{ARG}fc7") and place.dtype == np.float32
        ]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._file.places[ARG + name].shape

    def read(self, name: str, begin: int, rows: np.ndarray) -> None:
        self._file.read(ARG + name, begin, rows)


def stored_classifier(prefix: str, number: int) -> StoredClassifier | None:
    """Return the classifier beside a numbered checkpoint, None where there is none."""
    path = list_path(prefix, number)
    if not path.is_file():
        return None
    record = read_json(path, "list of a classifier's files", limit=LARGEST_LIST)
    return StoredClassifier(prefix, number, Ranges.of(record, str(path)), has_states=False)


def classifier_beside(checkpoint: str) -> StoredClassifier | None:
    """Return the classifier that "prefix,number" has in files beside it, None where there is none.

    Raises ValueError or FileNotFoundError for files that are missing or hold something else.
    """
    prefix, number = split_checkpoint(checkpoint)
    if number != LAST:
        return stored_classifier(prefix, number)
    if RECORD not in StoredRows(existing_params(checkpoint)).places:
        return None  # parameters alone
    return classifier_of(prefix, read_last(prefix))


def classifier_of(prefix: str, last: LastState) -> StoredClassifier | None:
    """Return the classifier that a last state names, None if it holds its own."""
    record = last.record.get("classifier")
    if record is None:
        return None
    ranges = Ranges.of(record, str(params_path(prefix, LAST)))
    return StoredClassifier(prefix, LAST, ranges, has_states=True)


def with_classifier(last: LastState, prefix: str) -> LastState:
    """Return the last state of a prefix with the whole classifier in it, as a dense run's is."""
    stored = classifier_of(prefix, last)
    if stored is None:
        return last
    arrays = dict(_whole(stored))
    params = {name: array for name, array in arrays.items() if ":" not in name}
    states = {name: array for name, array in arrays.items() if ":" in name}
    record = {name: value for name, value in last.record.items() if name != "classifier"}
    return LastState(last.arg_params | params, last.aux_params, last.state | states, record)


def _whole(stored: StoredClassifier) -> Iterator[tuple[str, np.ndarray]]:
    for name in stored.names:
        yield name, stored.whole(name)

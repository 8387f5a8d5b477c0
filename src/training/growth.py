"""The classifier of a checkpoint on another set of identities: rows follow their names.

A row belongs to an identity, and numbers say nothing about who that is in another dataset.  Names
do: train.names of the dataset, which training also writes beside its checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
import logging
from pathlib import Path

import numpy as np

from ..checkpoints.names import split_checkpoint
from ..data.identity_lists import names_of, read_names
from ..files import replace_file
from ..limits import shown
from ..text import WRITTEN

logger = logging.getLogger(__name__)


def names_path(prefix: str) -> Path:
    """Return the file of the identities' names beside the checkpoints of a prefix."""
    return Path(f"{prefix}-identities.names")


def write_names(prefix: str, folder: Path, *, is_new: bool) -> None:
    """Write the names of a dataset's identities beside the checkpoints, if it has them.

    If not, a new run drops those that an earlier one of this prefix left: its rows were of others.
    """
    names = names_of(folder)
    if is_new and not names:
        names_path(prefix).unlink(missing_ok=True)
    if names:
        with replace_file(names_path(prefix), "w", **WRITTEN) as file:
            file.writelines(f"{number}\t{name}\n" for number, name in sorted(names.items()))


@dataclass(frozen=True)
class Growth:
    """Which identity of the dataset was which of the checkpoint.

    count: of the dataset's identities.  numbers: of those that both have, int64 (K,) ascending.
    before: their numbers in the checkpoint, int64 (K,).  vanished: how many the dataset has not.
    held: how many identities the names of the checkpoint tell of.
    """

    count: int
    numbers: np.ndarray
    before: np.ndarray
    vanished: int
    held: int

    @property
    def is_same(self) -> bool:
        """Whether the rows of the checkpoint fit as they stand."""
        return (
            not self.vanished
            and len(self.numbers) == self.count
            and np.array_equal(self.numbers, self.before)
        )

    @property
    def kept(self) -> np.ndarray:
        """Return the identities whose rows imprinting leaves alone: none where nobody came or went,
        for then it is asked of all."""
        return self.numbers[:0] if self.is_same else self.numbers

    def carried(self, name: str, given: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Return the drawn rows (C * K, ...) with those of the known identities in their places.

        Raises ValueError if what is given has not so many rows for each identity.
        """
        each, rest = divmod(len(drawn), self.count)
        self.check(name, given.shape, 0 if rest else each, drawn.shape[1:])
        found = drawn.copy().reshape(self.count, each, *drawn.shape[1:])
        found[self.numbers] = given.reshape(-1, each, *given.shape[1:])[self.before]
        return found.reshape(drawn.shape)

    def check(self, name: str, given: tuple[int, ...], each: int, row: tuple[int, ...]) -> None:
        """Raise ValueError if an array of this shape has not so many rows for each identity.

        each: rows of an identity, 0 if that is no whole number.  row: the shape of one.
        """
        if not each or given[1:] != row or given[0] != each * self.held:
            raise ValueError(
                f"--pretrained: {name} is {given}, which does not hold {each} row(s) of "
                f"{row} for each of the identities 0 to {self.held - 1} that its names "
                "tell of; give --pretrained without that names file, or with its own"
            )

    def stretches(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """Yield (number, number in the checkpoint, how many) of known identities from first on, but
        not last, that follow each other in both."""
        low, high = np.searchsorted(self.numbers, [first, last])
        numbers, before = self.numbers[low:high], self.before[low:high]
        breaks = np.flatnonzero((np.diff(numbers) != 1) | (np.diff(before) != 1)) + 1
        ends = [0, *breaks.tolist(), len(numbers)] if len(numbers) else []
        for begin, end in zip(ends, ends[1:], strict=False):
            yield int(numbers[begin]), int(before[begin]), end - begin

    def tell(self) -> None:
        """Log who stays, comes and goes."""
        new = self.count - len(self.numbers)
        logger.info(
            "classifier: by name, %d identities carried over, %d new, %d vanished and dropped",
            len(self.numbers),
            new,
            self.vanished,
        )


def tell_rows_by_number(names: Iterable[str]) -> None:
    """Warn that rows of a classifier are taken up where nothing tells whose they are."""
    if rows := sorted(names):
        logger.warning(
            "pretrained: %s taken by number, row i for identity i; no names tell whose they are "
            "(PREFIX-identities.names there, train.names here): another dataset's are other people",
            ", ".join(rows),
        )


def find_growth(pretrained: str, folders: list[Path], count: int) -> Growth | None:
    """Return how the identities of the one dataset folder follow from a checkpoint's, None where
    either has no names; then sizes alone decide.

    count: of the dataset's identities.  Raises ValueError for a name that stands for two of them.
    """
    if not pretrained or len(folders) != 1:
        return None
    prefix, _ = split_checkpoint(pretrained)
    then, now = read_names(names_path(prefix)), names_of(folders[0])
    if not then or not now:
        return None
    old = _by_name(then, names_path(prefix))
    new = _by_name(
        {number: name for number, name in now.items() if number < count}, folders[0] / "train.names"
    )
    both = sorted((number, old[name]) for name, number in new.items() if name in old)
    numbers, before = np.array(both, np.int64).reshape(-1, 2).T
    return Growth(count, numbers, before, len(old) - len(both), max(then) + 1)


def _by_name(names: Mapping[int, str], path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, name in names.items():
        if name in found:
            raise ValueError(
                f"{path}: {found[name]} and {number} are both named {shown(name)}, so that a "
                "classifier's rows cannot follow the names; name each identity once"
            )
        found[name] = number
    return found

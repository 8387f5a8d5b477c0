"""Identification among many distractors: exact ranks and false accepts in one pass.

For each ordered same-person pair (probe, mate) the rank is the number of distractors strictly
closer to the probe than its mate (0: found first); distractors just as far are counted apart.
A threshold's false accepts are all probe x distractor pairs within it.  Nothing of the size
probes x distractors is kept: memory does not grow with the distractors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from .pairs import GenuinePairs, genuine_pairs
from .tally import Tally
from .tile import TileCounter

EXACT_FPR = 1e-3  # up to here every genuine distance is a point of the ROC,
EXACT_ACCEPTS = 10_000  # and up to so many false accepts, so that small sets are exact throughout
BLOCK = 4096  # distractors in one product: with 3,530 probes 58 MB of scores
PILOT = 1024  # distractors of each group that are looked at first,
PILOT_SCORES = 1 << 16  # and scores of theirs from which is told which ones are near
MARGIN = 1.5  # of the pilot's estimate, times what is needed

Reader = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class IdentificationResult:
    """What one list of distractors does to the probes.

    num_distractors: N.  pairs: the K ordered same-person pairs.
    closer: int64 (K,), the rank of each mate, from 0.  equal: int64 (K,), ties.
    best_distance, best_row: (P,), each probe's nearest distractor.
    thresholds: float64 (T,), squared distances, ascending (accept at or below).
    false_accepts: int64 (T,), of all P x N negatives, exact at every threshold.
    num_exact: the first thresholds are all genuine distances with FPR <= 1e-3, or with at most
    10,000 false accepts; those after are grid_step apart up to the farthest genuine pair.
    """

    num_distractors: int
    pairs: GenuinePairs
    closer: np.ndarray
    equal: np.ndarray
    best_distance: np.ndarray
    best_row: np.ndarray
    thresholds: np.ndarray
    false_accepts: np.ndarray
    num_exact: int
    grid_step: float

    @property
    def num_negatives(self) -> int:
        """Return P x N."""
        return self.num_distractors * len(self.best_row)


@dataclass(frozen=True)
class _Group:
    """Distractors that are on the same lists."""

    rows: np.ndarray
    members: tuple[int, ...]


def identify(
    probes: np.ndarray,
    probe_ids: Sequence[str],
    distractors: np.ndarray | Reader,
    lists: Sequence[np.ndarray] | None = None,
    *,
    block: int = BLOCK,
    threads: int | None = None,
    progress: bool = False,
) -> list[IdentificationResult]:
    """Return one IdentificationResult per list of distractors, all from one pass over them.

    probes: float32 (P, D).  probe_ids: P names.  distractors: float (N, D), or a function
    from row numbers to float32 (n, D).  lists: row numbers of each list, without repeats; by
    default one list of all rows of an array.  block: distractors in one product, a matter of
    memory and speed alone.  threads: for everything but the products, whose threads the BLAS
    library chooses (default: the usable cores).
    Raises ValueError for a person with one image and for NaN, infinite or zero vectors.
    """
    if not callable(distractors):
        array = distractors
        lists = [np.arange(len(array))] if lists is None else lists
        distractors = lambda rows: np.asarray(array[rows], np.float32)  # noqa: E731
    pairs = genuine_pairs(probes, probe_ids)
    groups = _groups(lists)
    with TileCounter(probes, pairs, threads) as counter:
        margin = MARGIN
        while True:
            last = _pilot(counter, distractors, groups, lists, margin)
            tallies = _stream(counter, distractors, groups, len(lists), last, block, progress)
            reach = [min(last[g] for g, group in enumerate(groups) if i in group.members)
                     for i in range(len(lists))]  # fmt: skip
            results = [
                _result(counter, tally, len(rows), limit)
                for tally, rows, limit in zip(tallies, lists, reach, strict=True)
            ]
            if all(result is not None for result in results):
                return results
            margin *= 4  # the pilot misjudged this list: look further out


def _groups(lists: Sequence[np.ndarray]) -> list[_Group]:
    """Return the distractors of all lists, each once, by which lists they are on."""
    size = 1 + max(int(rows.max()) for rows in lists)
    kind = np.zeros(size, np.int64)  # 0: on no list
    members: dict[int, tuple[int, ...]] = {0: ()}
    for i, rows in enumerate(lists):
        before = np.unique(kind[rows])
        renamed = np.zeros(int(kind.max()) + 1, np.int64)
        for old in before:
            renamed[old] = new = len(members)
            members[new] = (*members[int(old)], i)
        kind[rows] = renamed[kind[rows]]
    order = np.argsort(kind, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(kind[order])) + 1)
    return [_Group(part, members[int(kind[part[0]])]) for part in parts if kind[part[0]]]


def _pilot(
    counter: TileCounter, read: Reader, groups: list[_Group], lists: Sequence, margin: float
) -> list[int]:
    """Return for each group the last distance to count against one by one.

    An estimate from a sample: the distance within which every list of the group has margin
    times the false accepts that are counted exactly.  It bears on the speed alone; _result
    checks it.
    """
    wanted = [margin * _exact_accepts(counter, len(rows)) for rows in lists]
    nearest, weight = [], []
    for group in groups:
        step = -(-len(group.rows) // PILOT)
        vectors = read(group.rows[::step])
        scores = counter.scores(vectors, counter.squared_lengths(vectors)).ravel()
        # Of each group enough for the list that wants the largest share of its negatives.
        share = max(wanted[i] / (len(lists[i]) * len(counter.probes)) for i in group.members)
        some = scores[:: -(-scores.size // PILOT_SCORES)]
        keep = int(min(some.size, max(64, 8 * share * some.size)))
        near = scores[scores >= np.partition(some, -keep)[-keep]]
        nearest.append(near)
        weight.append(np.full(len(near), len(group.rows) / len(vectors)))
    cuts = []
    for i in range(len(lists)):
        mine = [g for g, group in enumerate(groups) if i in group.members]
        scores = np.concatenate([nearest[g] for g in mine])
        order = np.argsort(-scores)
        total = np.cumsum(np.concatenate([weight[g] for g in mine])[order])
        at = total.searchsorted(wanted[i])
        cuts.append(scores[order[at]] if at < len(order) else -np.inf)
    top = len(counter.distances) - 1
    places = [min(top, top + 1 - int(counter.scores_at.searchsorted(cut))) for cut in cuts]
    return [max(places[i] for i in group.members) for group in groups]


def _stream(
    counter: TileCounter,
    read: Reader,
    groups: list[_Group],
    num_lists: int,
    last: list[int],
    block: int,
    progress: bool,
) -> list[Tally]:
    """Return one tally per list."""
    tallies = [counter.zero() for _ in range(num_lists)]
    total = sum(len(group.rows) for group in groups)
    with tqdm(total=total, desc="distractors", unit="", disable=not progress) as bar:
        for group, limit in zip(groups, last, strict=True):
            tally = counter.zero()
            for at in range(0, len(group.rows), block):
                rows = group.rows[at : at + block]
                counter.count(read(rows), rows, limit, tally)
                bar.update(len(rows))
            for i in group.members:
                tallies[i].add(tally)
    return tallies


def _result(
    counter: TileCounter, tally: Tally, num_distractors: int, last: int
) -> IdentificationResult | None:
    """Return the result of a list, or None if it was not counted far enough for EXACT_FPR."""
    within = np.cumsum(tally.below[: last + 1])
    allowed = _exact_accepts(counter, num_distractors)
    if within[-1] <= allowed and last < len(counter.distances) - 1:
        return None
    num_exact = int(np.searchsorted(within, allowed, side="right"))
    grid, grid_accepts = counter.grid[::-1], tally.grid[::-1]
    beyond = grid_accepts > allowed
    thresholds = np.append(counter.distances[:num_exact], grid[beyond])
    accepts = np.append(within[:num_exact], grid_accepts[beyond])
    return IdentificationResult(
        num_distractors,
        counter.pairs,
        tally.closer,
        tally.equal,
        tally.best_distance,
        tally.best_row,
        thresholds,
        accepts,
        num_exact,
        float(counter.step),
    )


def _exact_accepts(counter: TileCounter, num_distractors: int) -> int:
    return max(EXACT_ACCEPTS, int(EXACT_FPR * num_distractors * len(counter.probes)))

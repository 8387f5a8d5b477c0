"""The part of a verification report that sets the best model beside the others, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..report.svg import element, name_of_file, text
from ..report.tables import Cell, table
from .comparison import Estimate, difference
from .report_tables import names_of, note
from .scored_pairs import ScoredPairs, scored_pairs

if TYPE_CHECKING:
    from .report import Entry

SEED = 0  # of the draws: the page of the same figures is the same


def comparisons(entries: Sequence[Entry]) -> str:
    """Return the differences of accuracy between the best model and each other.

    Empty for a single model, and where there is no pair set that says which pairs they are.
    """
    if len(entries) < 2 or any(entry.pair_set is None for entry in entries):
        return ""
    best = max(range(len(entries)), key=lambda n: entries[n].evaluation.published.accuracy)
    scored = [_scored(entry) for entry in entries]
    rows, resampled = [], set()
    for number, name in enumerate(names_of(entries)):
        if number == best:
            continue
        found = difference(scored[best], scored[number], (), np.random.default_rng(SEED))
        resampled.add(found.resampled)
        test = found.mcnemar
        cells = [
            Cell(_points(found.accuracy.value), (_span(found.accuracy),)),
            Cell(f"{test.only_first:,}"),
            Cell(f"{test.only_second:,}"),
            Cell(f"{test.p:.3f}" if test.p >= 0.001 else "< 0.001"),
        ]
        rows.append((name, cells))
    best_name = entries[best].name
    target = entries[0].evaluation.target
    head = ["beside it", "accuracy, points", "right alone", "other alone", "McNemar p"]
    told = (
        f"How much more accurate {best_name} is, in percentage points, with the 95 % interval "
        f"when {' or '.join(sorted(resampled))} are drawn again, the same for both; the pairs "
        "that it or the other alone decides rightly; and the chance of so uneven a split if both "
        "were equally good, pairs taken for independent. An interval that holds 0 tells no "
        "difference."
    )
    return (
        element("h3", name_of_file(best_name), text(", pair by pair"))
        + table(f"{best_name} beside the others on {target}", head, rows, is_compared=False)
        + note(told)
    )


def _scored(entry: Entry) -> ScoredPairs:
    return scored_pairs(
        entry.evaluation,
        entry.pair_set,
        model=entry.name,
        embedding=entry.embedding,
        pack_fingerprint=entry.pack_fingerprint,
    )


def _points(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "−").replace("+0.00", "0.00")


def _span(one: Estimate) -> str:
    return f"{_points(one.low)} to {_points(one.high)}"

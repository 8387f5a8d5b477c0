"""The part of a verification report on faces that were not found (failures.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..report.scales import power
from ..report.svg import element, text
from ..report.tables import Cell, percent, table
from .failures import ErrorRates
from .report_tables import acceptance, names_of, note

if TYPE_CHECKING:
    from .report import Entry

DONE = {"skip": "left out of the rates above", "count": "rejected in the rates above"}
TERMS = ("FMR", "FNMR", "FAR", "FRR", "GFAR", "GFRR")


def failures(entries: Sequence[Entry]) -> str:
    """Return the failures to enrol and to acquire, and the error rates of each model with them.

    Empty where failures are neither left out nor counted.
    """
    found = entries[0].evaluation.failures
    if found is None:
        return ""
    lost = int((~found.compared).sum())
    told = (
        f"Failure to enrol {100 * found.fte:.2f} %, to acquire {100 * found.fta:.2f} %: "
        f"{lost:,} of {len(found.left):,} pairs lack a face and are {DONE[found.mode]}."
    )
    parts = [element("h3", "Faces that were not found"), element("p", text(told))]
    fars = [rate.wanted_far for rate in entries[0].evaluation.rates if rate.point is not None]
    if fars:
        head = ["in %", "accepted", *TERMS]
        rows = [
            (name, _rates(entry)) for name, entry in zip(names_of(entries), entries, strict=True)
        ]
        target = entries[0].evaluation.target
        parts.append(table(f"Error rates with failures on {target}", head, rows))
        parts.append(note(
            f"In the terms of ISO/IEC 19795-1, at the threshold of FAR {power(fars[-1])} above: "
            "FMR, FNMR of the pairs that were compared; FAR, FRR of those whose reference was "
            "enrolled; GFAR, GFRR of all."
        ))  # fmt: skip
    return "".join(parts)


def _rates(entry: Entry) -> list[Cell | None]:
    if not entry.evaluation.error_rates:
        return [None] * (1 + len(TERMS))
    found: ErrorRates = entry.evaluation.error_rates[-1]
    values = (found.fmr, found.fnmr, found.far, found.frr, found.gfar, found.gfrr)
    return [
        Cell(acceptance(entry.unit, found.cosine)),
        *(None if value is None else percent(value, compared=-1) for value in values),
    ]

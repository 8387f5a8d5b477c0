"""Faces that were not found, counted in the rates: the terms of ISO/IEC 19795-1.

The left image of a pair is the enrolled reference, the right one the probe:

    FTE   failure to enrol: share of the references without a face
    FTA   failure to acquire: share of the probes without a face
    FMR   false match rate, FNMR false non-match rate: of the pairs that were compared
    FAR   false accept rate, FRR false reject rate: of the pairs whose reference was enrolled; a
          probe that was not acquired is rejected
    GFAR, GFRR   generalised: of all pairs; one that was not compared is rejected.  GAR = 1 - GFRR

Everything is counted, none of it is multiplied out of rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# What may become of a pair whose face was not found:
#   crop   as published, what the packer cut in its place is compared like any crop
#   skip   the pair is left out: the rates are FMR and FNMR
#   count  the pair is rejected: the rates are GFAR and GFRR
MODES = ("crop", "skip", "count")
COLUMN = "failed"  # of a pair set's columns; a pair's value is one of:
SIDES = {"": (False, False), "left": (True, False), "right": (False, True), "both": (True, True)}
NEVER_ACCEPTED = -2.0  # the cosine of a pair that was not compared: below every true one


@dataclass(frozen=True)
class Failures:
    """Which faces of a pair set were not found: left, right bool (P,) of all its pairs, and what
    was done about them (mode)."""

    mode: str
    left: np.ndarray
    right: np.ndarray
    is_genuine: np.ndarray

    @property
    def compared(self) -> np.ndarray:
        """Which pairs have both faces, bool (P,)."""
        return ~(self.left | self.right)

    @property
    def fte(self) -> float:
        return float(self.left.mean())

    @property
    def fta(self) -> float:
        return float(self.right.mean())


@dataclass(frozen=True)
class ErrorRates:
    """Errors when pairs are accepted from a cosine on, as fractions (see the top of the module).

    fmr, fnmr are None where no impostor or genuine pair was compared.
    """

    cosine: float
    fmr: float | None
    fnmr: float | None
    far: float | None
    frr: float | None
    gfar: float
    gfrr: float

    @property
    def gar(self) -> float:
        """The genuine accept rate of all genuine pairs."""
        return 1.0 - self.gfrr


def failures_of(
    columns: dict[str, Sequence[str]], is_genuine: np.ndarray, mode: str, source: str
) -> Failures | None:
    """Return the failures that a pair set's columns hold; None for mode "crop".

    source: what messages call the pair set.  Raises ValueError if the mode asks for what the
    columns do not tell, or if no pair of a kind was compared.
    """
    if mode not in MODES:
        raise ValueError(f"--failures {mode!r}: known are {', '.join(MODES)}")
    if mode == "crop":
        return None
    values = columns.get(COLUMN)
    if values is None:
        raise ValueError(
            f"--failures {mode}: {source} does not tell where no face was found (column "
            f"{COLUMN!r} of its .columns.tsv); pack it with --align, or write that column"
        )
    unknown = sorted(set(values) - SIDES.keys())
    if unknown:
        raise ValueError(
            f"{source}: column {COLUMN!r} holds {unknown[0]!r}; known are left, right, both and "
            "nothing"
        )
    left, right = np.array([SIDES[value] for value in values], dtype=bool).T
    failures = Failures(mode, left, right, np.asarray(is_genuine, dtype=bool))
    for noun, flags in (("genuine", failures.is_genuine), ("impostor", ~failures.is_genuine)):
        if not (flags & failures.compared).any():
            raise ValueError(f"--failures {mode}: no {noun} pair of {source} has both faces")
    return failures


def scores_to_compare(scores: np.ndarray, failures: Failures | None) -> np.ndarray:
    """Return scores (P,) of any unit, higher is nearer, as --failures says: those of the pairs with
    both faces alone, or of all pairs and the others below every true one."""
    if failures is None:
        return scores
    if failures.mode == "skip":
        return scores[failures.compared]
    least = min(NEVER_ACCEPTED, float(np.nextafter(scores.min() - 1.0, -np.inf)))
    return np.where(failures.compared, scores, least)


def error_rates(failures: Failures, cosines: np.ndarray, threshold: float) -> ErrorRates:
    """Return the error rates when pairs are accepted from a cosine on.

    cosines: of the pairs with both faces in their order, or of all pairs, float.
    """
    flags, compared = failures.is_genuine, failures.compared
    cosines = cosines if len(cosines) == compared.sum() else cosines[compared]
    accepted = np.zeros(len(flags), dtype=bool)
    accepted[compared] = cosines >= threshold
    enrolled = ~failures.left

    def share(of: np.ndarray) -> float | None:
        return float(accepted[of].mean()) if of.any() else None

    def rest(rate: float | None) -> float | None:
        return None if rate is None else 1.0 - rate

    return ErrorRates(
        cosine=threshold,
        fmr=share(~flags & compared),
        fnmr=rest(share(flags & compared)),
        far=share(~flags & enrolled),
        frr=rest(share(flags & enrolled)),
        gfar=share(~flags),
        gfrr=rest(share(flags)),
    )


def failures_json(failures: Failures | None, rates: Sequence[ErrorRates]) -> dict[str, Any]:
    """Return "failures": what failed and the error rates as plain types; nothing where unknown."""
    if failures is None:
        return {}
    figures = {
        "mode": failures.mode,
        "pairs_with_a_failure": int((~failures.compared).sum()),
        "fte": failures.fte,
        "fta": failures.fta,
        "error_rates": [{**asdict(one), "gar": one.gar} for one in rates],
    }
    return {"failures": figures}

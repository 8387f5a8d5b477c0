"""What a verification leaves beside its printed figures: a card, scores, faces that failed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import logging
from pathlib import Path

from ..given import file_name
from .evaluation import Evaluation
from .failures import COLUMN, MODES, Failures, failures_of
from .pair_sets import PairSet
from .report import Entry
from .scored_pairs import scored_pairs, scores_path, write_scored_pairs
from .threshold_card import write_card

logger = logging.getLogger(__name__)


def add_outcome_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --failures and --card."""
    add = parser.add_argument
    add("--failures", choices=MODES, default="crop", help="pairs of a face that was not found: "
        "crop compares what the packer cut in its place, as published; skip leaves them out, so "
        "that rates are FMR and FNMR; count rejects them, GFAR and GFRR; both also print the error "
        "rates of ISO/IEC 19795-1 (%(default)s)")  # fmt: skip
    add("--card", type=file_name(".json"), metavar="FILE",
        help="threshold card to write, FILE.json, of one model on one "
        "target: the threshold at each FAR with its interval, for the plain and the flip "
        "embedding; deploy/test.py and arcface-serve read it (--threshold-card)")  # fmt: skip


def check_outcomes(arguments: argparse.Namespace, num_models: int, num_targets: int) -> None:
    """Raise ValueError for what does not go together: a card of several models or pair sets,
    components of faces that were not found."""
    if arguments.pca and arguments.failures == "count":
        raise ValueError("--pca and --failures count: components are of faces; give skip or crop")
    if arguments.card and num_models * num_targets > 1:
        raise ValueError(
            f"--card {arguments.card}: a card is of one model on one pair set, these are "
            f"{num_models} on {num_targets}; give one --model and one --target"
        )


def chosen_failures(pair_set: PairSet, mode: str, source: str | Path) -> Failures | None:
    """Return the failures of a pair set, as --failures says; those that it ignores are told.

    Raises ValueError as failures_of() does.
    """
    failures = failures_of(pair_set.columns, pair_set.is_genuine, mode, str(source))
    if failures is None and any(pair_set.columns.get(COLUMN, ())):
        count = sum(map(bool, pair_set.columns[COLUMN]))
        logger.warning(
            "%s: no face was found in %d of %d pairs; what was cut in its place is compared: "
            "--failures skip or count",
            source, count, len(pair_set),
        )  # fmt: skip
    return failures


def compared_pairs(pair_set: PairSet, failures: Failures | None) -> PairSet:
    """Return the pairs that an evaluation with these failures is of."""
    skips = failures is not None and failures.mode == "skip"
    return pair_set.part(failures.compared) if skips else pair_set


def print_failures(evaluation: Evaluation, *, is_distance: bool = False) -> None:
    """Print the failures and the error rates of ISO/IEC 19795-1; nothing where they are unknown.

    is_distance: scores were given, and lower is nearer: thresholds are shown as they were.
    """
    failures, name = evaluation.failures, evaluation.target
    if failures is None:
        return
    done = {"skip": "left out", "count": "rejected"}[failures.mode]
    lost = int((~failures.compared).sum())
    print(f"[{name}]FTE: {failures.fte:.5f}  FTA: {failures.fta:.5f}  ({lost} of "
          f"{len(failures.left)} pairs lack a face and are {done})")  # fmt: skip
    of_scores = evaluation.plain_cosines is None
    for rates in evaluation.error_rates:
        given = -rates.cosine if is_distance else rates.cosine
        where = f"score {given:.6g}" if of_scores else f"cosine {given:.4f}"
        values = "  ".join(
            f"{label} {'-' if value is None else f'{value:.5f}'}"
            for label, value in (
                ("FMR", rates.fmr), ("FNMR", rates.fnmr), ("FAR", rates.far), ("FRR", rates.frr),
                ("GFAR", rates.gfar), ("GFRR", rates.gfrr), ("GAR", rates.gar),
            )
        )  # fmt: skip
        print(f"[{name}]at {where}: {values}")


def write_outcomes(
    arguments: argparse.Namespace, entries: Sequence[Entry], image_size: tuple[int, int] | None
) -> None:
    """Write the card and, beside --json, the scores of every pair.

    image_size: (height, width) that all images were scaled to; None if they were taken as they are.
    """
    if arguments.card:
        (entry,) = entries
        crop = next(entry.pair_set.decoded(image_size, [0])).shape[:2]
        write_card(arguments.card, entry.evaluation, crop=crop, **_origin(entry))
        print(f"{arguments.card}: thresholds of {entry.model} on {entry.evaluation.target}")
    if arguments.json:
        scored = [
            scored_pairs(e.evaluation, e.pair_set, alias=e.name, **_origin(e)) for e in entries
        ]
        write_scored_pairs(scores_path(arguments.json), scored)


def _origin(entry: Entry) -> dict:
    return {
        "model": entry.model,
        "embedding": entry.embedding,
        "pack_fingerprint": entry.pack_fingerprint,
    }

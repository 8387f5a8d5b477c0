"""The verification report: one self-contained page, and the same figures as JSON.

A section per pair set, a function per part of it (SECTION_PARTS), in the order of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
import json
import os
from pathlib import Path

from ..files import replace_file
from ..report.marks import legend
from ..report.names import model_names
from ..report.page import Section, write_page
from ..report.sentences import best_sentence
from ..report.svg import element, text
from . import (
    report_comparison,
    report_failures,
    report_figures,
    report_mistakes,
    report_tables,
)
from .evaluation import Evaluation, RateAtFar
from .failures import failures_json
from .pair_sets import PairSet


@dataclass(frozen=True)
class Entry:
    """One model on one pair set.

    embedding: what the embeddings came from: "model" (its fingerprint), "engine", "dtype", "flip".
    pack_fingerprint: SHA-256 of the pair set's file.  pair_set: None where there is none to take
    pictures from.  alias: the model's name in the report (default: its shortest part that tells
    it from the others).
    pair_names: the names of both sides of each pair, where there is no pair set that has them.
    """

    model: str
    embedding: dict[str, str]
    pack_fingerprint: str
    pair_set: PairSet | None
    evaluation: Evaluation
    alias: str = ""
    pair_names: Sequence[tuple[str, str]] = ()

    @property
    def name(self) -> str:
        return self.alias or self.model

    @property
    def unit(self) -> str:
        """Return what the evaluation's similarities are: "cosine", "score", or "−score", the
        negated score of a system by which lower is nearer."""
        if "FlipL2" in self.evaluation.protocol:
            return "cosine"
        return "−score" if self.embedding["dtype"].startswith("lower") else "score"

    def sides(self, pair: int) -> tuple[str, str] | None:
        """Return the names of both images of a pair, None where they are unknown."""
        if self.pair_names:
            return self.pair_names[pair]
        if self.pair_set is None or not self.pair_set.paths:
            return None
        left, right = self.pair_set.paths[2 * pair : 2 * pair + 2]
        return left, right


# What else decides an embedding, where it is known: what a file of others is fed, and how crops are
# aligned.
BESIDE = ("input", "alignment")

Part = Callable[[Sequence[Entry]], str]  # of a section: its markup, empty where it says nothing


def write_report(
    path: str | os.PathLike, entries: Sequence[Entry], title: str = "Face verification"
) -> None:
    """Write the HTML page of all entries, grouped by pair set in their order.

    Raises ValueError if two models of a pair set have one name.
    """
    by_target = groupby(entries, key=lambda entry: entry.evaluation.target)
    groups = [_with_names(list(group)) for _, group in by_target]
    pictures = report_mistakes.pictures_of_each(len(entries))
    sections = [_section(group, pictures) for group in groups]
    write_page(path, title, [summary(group) for group in groups], sections)


def _with_names(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of one pair set, each with an alias, all different."""
    names = model_names([entry.name for entry in entries])
    return [
        entry if entry.alias else replace(entry, alias=name)
        for entry, name in zip(entries, names, strict=True)
    ]


def summary(entries: Sequence[Entry]) -> str:
    """Return the sentence that says which model is best on a pair set, and how sure that is."""
    where = "On " + element("b", text(entries[0].evaluation.target))
    rated = [
        (entry.name, entry.evaluation.published.accuracy, entry.evaluation.accuracy_interval)
        for entry in entries
    ]
    return best_sentence(where, "an accuracy of" if len(entries) == 1 else "accuracy", rated)


def _section(entries: Sequence[Entry], pictures: int) -> Section:
    flags = entries[0].evaluation.is_genuine
    counts = f"{int(flags.sum()):,} genuine and {int((~flags).sum()):,} impostor pairs"
    body = "".join(part(entries) for part in SECTION_PARTS)
    body += report_mistakes.mistakes(entries, pictures) + report_tables.fingerprints(entries)
    return Section(entries[0].evaluation.target, counts, body)


def _figures(entries: Sequence[Entry]) -> str:
    return legend([entry.name for entry in entries]) + report_figures.figures(entries)


# What a section shows, in this order; another part is a function more.
SECTION_PARTS: tuple[Part, ...] = (
    report_tables.warnings,
    report_tables.rates,
    report_failures.failures,
    _figures,
    report_comparison.comparisons,
    report_tables.thresholds,
    report_tables.folds,
)


def write_json(path: str | os.PathLike, entries: Sequence[Entry]) -> None:
    """Write the figures of all entries: a list of objects, rates as fractions."""
    with replace_file(Path(path), "w", encoding="utf-8") as file:
        json.dump([as_json(entry) for entry in entries], file, indent=1)
        file.write("\n")


def as_json(entry: Entry) -> dict:
    """Return the figures of an entry as plain types."""
    evaluation = entry.evaluation
    return {
        "target": evaluation.target,
        "model": entry.model,
        "alias": entry.name,
        "model_sha256": entry.embedding["model"],
        **{key: entry.embedding[key] for key in ("engine", "dtype", "flip")},
        **{key: entry.embedding[key] for key in BESIDE if key in entry.embedding},
        "pack_sha256": entry.pack_fingerprint,
        "num_genuine": int(evaluation.is_genuine.sum()),
        "num_impostor": int((~evaluation.is_genuine).sum()),
        "xnorm": evaluation.xnorm,
        "auc": evaluation.auc,
        "eer": evaluation.eer,
        "accuracy_interval": list(evaluation.accuracy_interval),
        "identities_in_several_folds": evaluation.shared_folds,
        "evaluations": {
            name: {
                "accuracy": result.accuracy,
                "std": result.std,
                "cosine": result.threshold,
                "squared_l2": result.squared_l2,
                "folds": [fold.accuracy for fold in result.per_fold],
            }
            for name, result in evaluation.protocol.items()
        },
        "tar_at_far": [_rate_json(rate) for rate in evaluation.rates],
        **failures_json(evaluation.failures, evaluation.error_rates),
    }


def _rate_json(rate: RateAtFar) -> dict:
    if rate.point is None:
        return {"far": rate.wanted_far, "impostors_needed": rate.impostors_needed}
    return {
        "far": rate.wanted_far,
        "tar": rate.point.tar,
        "interval": list(rate.interval),
        "interval_by_identity": list(rate.by_identity) if rate.by_identity else None,
        "reached_far": rate.point.far,
        "cosine": rate.point.threshold,
        "squared_l2": 2 - 2 * rate.point.threshold,
    }

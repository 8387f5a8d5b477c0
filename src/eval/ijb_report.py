"""The report of IJB: template verification 1:1 and identification 1:N, of models and switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import os

import numpy as np

from ..report.marks import legend, named
from ..report.page import Section, write_page
from ..report.scales import power
from ..report.sentences import best_sentence
from ..report.svg import element, text
from ..report.tables import Cell, percent, scrolling, span, table
from .evaluation import RateAtFar
from .report_figures import RocSteps, det_figure, roc_figure, roc_steps
from .report_tables import acceptance
from .templates import SearchResult


@dataclass(frozen=True)
class IjbEntry:
    """One model with one choice of switches.  name: in the report, all different.

    facts: what the embeddings came from: "model" (fingerprint), "engine", "dtype".  switches: in
    words.  note: what was left out.  rates, steps: of the pairs, empty and None without them.
    search: of the galleries, None without them.  unit: of the thresholds, as Entry.unit.
    """

    name: str
    model: str
    facts: dict[str, str]
    switches: str
    note: str = ""
    rates: tuple[RateAtFar, ...] = ()
    steps: RocSteps | None = None
    search: SearchResult | None = None
    unit: str = "cosine"

    def called(self, alias: str, *, is_one: bool) -> IjbEntry:
        """Return the entry by the name of its model, and its switches unless it is its only one."""
        return replace(self, name=alias if is_one else f"{alias}, {self.switches}")


def pair_steps(cosines: np.ndarray, is_genuine: np.ndarray) -> RocSteps:
    """Return what a report keeps of the scores of all pairs, float (P,), bool (P,)."""
    return roc_steps(cosines[is_genuine], cosines[~is_genuine])


def write_ijb_report(path: str | os.PathLike, target: str, entries: Sequence[IjbEntry]) -> None:
    """Write the HTML page of all entries."""
    summary, sections = [], []
    if entries[0].steps:
        first = entries[0].steps
        aside = f"{first.num_genuine:,} genuine and {first.num_impostor:,} impostor pairs"
        summary.append(_summary(target, entries))
        sections.append(Section("Verification 1:1", aside, _verification(entries)))
    if entries[0].search:
        search = entries[0].search
        aside = f"{search.num_mated:,} mated and {search.num_unmated:,} unmated searches"
        sections.append(Section("Identification 1:N", aside, _identification(entries)))
    sections.append(Section("What was compared", "", _compared(entries)))
    write_page(path, f"{target}: templates", [one for one in summary if one], sections)


def _summary(target: str, entries: Sequence[IjbEntry]) -> str:
    """Return which entry is best at the smallest FAR that the pairs support."""
    supported = [rate.wanted_far for rate in entries[0].rates if rate.point]
    if not supported:
        return ""
    far = min(supported)
    rated = [
        (entry.name, rate.point.tar, rate.interval)
        for entry in entries
        for rate in entry.rates
        if rate.wanted_far == far
    ]
    measure = f"TAR at FAR {power(far)}"
    return best_sentence(
        "On " + element("b", text(target)), f"a {measure} of" if len(rated) == 1 else measure, rated
    )


def _names(entries: Sequence[IjbEntry]) -> list[str]:
    if len(entries) == 1:
        return [element("bdi", text(entries[0].name))]
    return [named(number, entry.name) for number, entry in enumerate(entries)]


def _verification(entries: Sequence[IjbEntry]) -> str:
    supported = [rate.wanted_far for rate in entries[0].rates if rate.point]
    refused = [rate for rate in entries[0].rates if not rate.point]
    head = ["in %", *(f"TAR @ FAR {power(far)}" for far in supported)]
    rows = [
        (name, [_tar(rate, entry) for rate in entry.rates if rate.wanted_far in supported])
        for name, entry in zip(_names(entries), entries, strict=True)
    ]
    lines = []
    if supported:
        lines.append("Below a TAR: its 95 % Wilson interval, and from where a pair is accepted.")
    if refused:
        least = refused[0]
        lines.append(
            f"TAR at FAR {', '.join(power(rate.wanted_far) for rate in refused)} is not given: "
            f"{power(least.wanted_far)} needs {least.impostors_needed:,} impostor pairs."
        )
    names = [entry.name for entry in entries]
    steps = [entry.steps for entry in entries]
    return (
        (table("TAR at FAR", head, rows) if supported else "")
        + "".join(element("p", text(line), class_="note") for line in lines)
        + legend(names)
        + element("div", roc_figure(names, steps), det_figure(names, steps), class_="charts")
    )


def _tar(rate: RateAtFar, entry: IjbEntry) -> Cell | None:
    if rate.point is None:
        return None
    below = (span(rate.interval), acceptance(entry.unit, rate.point.threshold))
    return Cell(f"{100 * rate.point.tar:.2f}", below, rate.point.tar)


def _identification(entries: Sequence[IjbEntry]) -> str:
    first = entries[0].search
    head = [
        "in %", *(f"rank {rank}" for rank in first.rank_rates),
        *(f"TPIR @ FPIR {power(fpir)}" for fpir in first.tpir),
    ]  # fmt: skip
    rows = []
    for name, entry in zip(_names(entries), entries, strict=True):
        cells = [percent(rate) for rate in entry.search.rank_rates.values()]
        cells += [None if rate is None else percent(rate) for rate in entry.search.tpir.values()]
        rows.append((name, cells))
    told = "Means of both galleries. TPIR: the mate is first and above the threshold that lets "
    told += "FPIR of the unmated searches through; – where they are too few."
    return table("Identification rates", head, rows) + element("p", told, class_="note")


def _compared(entries: Sequence[IjbEntry]) -> str:
    head = "".join(element("th", text(words), scope="col") for words in
                   ("name", "model", "SHA-256", "embedded by", "templates"))  # fmt: skip
    lines = [
        element(
            "tr", element("th", name, scope="row"), element("td", element("bdi", text(e.model))),
            element("td", element("code", text(e.facts["model"]))),
            element("td", text(f"{e.facts['engine']}, {e.facts['dtype']}")),
            element("td", text(e.switches + e.note)),
        )
        for name, e in zip(_names(entries), entries, strict=True)
    ]  # fmt: skip
    body = element("thead", element("tr", head)) + element("tbody", *lines)
    return scrolling("Models and switches", element("table", body, class_="words"))

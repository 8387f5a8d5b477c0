"""The report of an identification experiment: rates by number of distractors, curves, errors.

One algorithm is shown at all its numbers of distractors; several are compared, a table for each
number and curves at the largest that all have.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..report.marks import legend, named
from ..report.page import Section, write_page
from ..report.sentences import best_sentence
from ..report.svg import element, text
from . import report_errors, report_figures, report_tables
from .report_figures import Line
from .runs import Run

LEFT_OUT_SHOWN = 20


def write_report(
    path: Path,
    probe_set: str,
    runs: Sequence[Run],
    names: Sequence[str],
    probe_images: Path | None = None,
    distractor_images: Path | None = None,
) -> None:
    """Write the page.  names: of the runs, all different.

    The image roots, if given, put the faces into the errors.  Raises ValueError if the runs have
    no number of distractors in common.
    """
    largest = _largest(runs)
    roots = report_errors.Roots(probe_images, distractor_images)
    if len(runs) == 1:
        lines = _lines_of_sizes(runs[0])
        title = f"{names[0]} on {probe_set}"
        tables = report_tables.by_size(runs[0])
    else:
        lines = [Line(name, *run.at(largest)) for name, run in zip(names, runs, strict=True)]
        title = f"{len(runs)} algorithms on {probe_set}"
        tables = report_tables.by_algorithm(runs, names)
    curves_of = "by number of" if len(runs) == 1 else f"among {largest:,}"
    first = runs[0].summaries[0]
    aside = f"{first['ordered_pairs']:,} ordered pairs of {first['people']} people"
    body = [
        element("p", text(
            f"{first['probes']:,} images: each looks for every other of its person, one at a "
            "time, among the distractors. Intervals: 95 %, people drawn again."
        )),
        *(_left_out(run, name if len(runs) > 1 else "") for run, name in zip(
            runs, names, strict=True)),
        tables,
        report_tables.remarks(
            runs[0].at(largest)[0], [one for run in runs for one in run.summaries]
        ),
        element("h3", f"Curves {curves_of} distractors"),
        legend([line.name for line in lines]),
        report_figures.figures(lines),
    ]  # fmt: skip
    errors = [
        report_errors.errors(run.at(largest)[0], roots, report_errors.number_of_each(len(runs)),
                             named(number, name) if len(runs) > 1 else "")
        for number, (run, name) in enumerate(zip(runs, names, strict=True))
    ]  # fmt: skip
    body += [element("h3", f"Worst errors among {largest:,} distractors"), *errors]
    write_page(path, title, [_summary(runs, names, largest)],
               [Section("Identification", aside, "".join(body))])  # fmt: skip


def _summary(runs: Sequence[Run], names: Sequence[str], distractors: int) -> str:
    rated = []
    for run, name in zip(runs, names, strict=True):
        rate = run.at(distractors)[0]["rank_rate"]["1"]
        rated.append((name, rate["rate"], tuple(rate["interval_95"])))
    where = f"Among {element('b', f'{distractors:,} distractors')}"
    return best_sentence(where, "a rank-1 rate of" if len(runs) == 1 else "rank-1 rate", rated)


def _largest(runs: Sequence[Run]) -> int:
    """Return the largest number of distractors that all runs have."""
    sizes = [{one["distractors"] for one in run.summaries} for run in runs]
    shared = set.intersection(*sizes)
    if not shared:
        told = "; ".join(
            f"{run.algorithm}: {', '.join(f'{size:,}' for size in sorted(some))}"
            for run, some in zip(runs, sizes, strict=True)
        )
        raise ValueError(f"no number of distractors is common to all runs ({told})")
    return max(shared)


def _lines_of_sizes(run: Run) -> list[Line]:
    order = sorted(
        range(len(run.summaries)),
        key=lambda i: (run.summaries[i]["distractors"], run.summaries[i]["set"]),
    )
    return [
        Line(report_tables.size_name(run.summaries[i]), run.summaries[i], run.curves[i])
        for i in order
    ]


def _left_out(run: Run, name: str) -> str:
    """Return which images took no part, and why."""
    left_out = run.summaries[0].get("left_out")
    if not left_out:
        return ""
    probes, distractors, people = (left_out[key] for key in ("probes", "distractors", "people"))
    lines = [f"{path}: {fault}" for path, fault in (probes | distractors).items()]
    lines += [f"{one}: a single image is left" for one in people]
    items = [element("li", text(line)) for line in lines[:LEFT_OUT_SHOWN]]
    if len(lines) > LEFT_OUT_SHOWN:
        items.append(element("li", f"and {len(lines) - LEFT_OUT_SHOWN:,} more"))
    head = element("b", element("bdi", escape(name))) + ": " if name else ""
    return element(
        "div",
        f"{head}Left out: {len(probes):,} probes, {len(distractors):,} distractors, "
        f"{len(people)} people. These figures are of the rest.",
        element("ul", *items), class_="warning",
    )  # fmt: skip

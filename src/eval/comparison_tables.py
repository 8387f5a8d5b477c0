"""What a comparison found, as tables in Markdown and LaTeX and as one record per figure in CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import csv
from dataclasses import dataclass
import io
import re

from .comparison import Difference, Estimate, Figures, GroupRates
from .evaluation import RateAtFar
from .intervals import LEAST_PEOPLE

FORMATS = ("markdown", "csv", "latex")
RECORD = ("table", "target", "model", "reference", "group", "measure", "far", "value", "low",
          "high", "count", "needed")  # fmt: skip
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
           **{character: f"\\{character}" for character in "&%$#_{}"}}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Everything that is told, by (target, model); differences are model minus reference.

    groups: by (target, model, column), with the FAR whose threshold they are judged at.
    """

    figures: Mapping[tuple[str, str], Figures]
    reference: str
    differences: Mapping[tuple[str, str], Difference]
    groups: Mapping[tuple[str, str, str], tuple[float, Sequence[GroupRates]]]
    fars: Sequence[float]
    notes: Sequence[str]


def rendered(comparison: Comparison, form: str) -> str:
    """Return the text of a comparison in one of FORMATS."""
    if form == "csv":
        return _csv(comparison)
    tables = [_figures(comparison)]
    if comparison.differences:
        tables.append(_differences(comparison))
    if comparison.groups:
        tables.append(_groups(comparison))
    draw, mark = (_markdown, "*") if form == "markdown" else (_latex, "%")
    notes = [f"{mark} {_one_line(note)}" for note in _notes(comparison)]
    return "\n".join([*(draw(*table) for table in tables), *notes, ""])


Table = tuple[str, list[str], list[list[str]]]  # title, header, rows


def _figures(comparison: Comparison) -> Table:
    head = ["target", "model", "accuracy", *(f"TAR at FAR {far:g}" for far in comparison.fars)]
    rows = [
        [target, model, _percent(found.accuracy), *map(_rate, found.rates)]
        for (target, model), found in comparison.figures.items()
    ]
    return "Models, in %", head, rows


def _differences(comparison: Comparison) -> Table:
    head = ["target", "model", "accuracy", *(f"TAR at FAR {far:g}" for far in comparison.fars),
            "right alone, pairs", "reference alone", "McNemar p"]  # fmt: skip
    rows = []
    for (target, model), found in comparison.differences.items():
        test = found.mcnemar
        tars = [_points(found.tar[far]) for far in comparison.fars]
        counts = [str(test.only_first), str(test.only_second), f"{test.p:.3g}"]
        rows.append([target, model, _points(found.accuracy), *tars, *counts])
    return f"Model minus {comparison.reference}, in percentage points", head, rows


def _groups(comparison: Comparison) -> Table:
    head = ["target", "model", "group", "genuine", "impostor", "accuracy", "FNMR", "FMR",
            "threshold of FAR"]  # fmt: skip
    rows = []
    for (target, model, column), (far, groups) in comparison.groups.items():
        for one in groups:
            counts = [f"{one.num_genuine:,}", f"{one.num_impostor:,}"]
            rates = [_percent(rate) for rate in (one.accuracy, one.fnmr, one.fmr)]
            rows.append([target, model, f"{column}: {one.group}", *counts, *rates, f"{far:g}"])
    return "Groups, in %", head, rows


def _notes(comparison: Comparison) -> list[str]:
    notes = ["Intervals hold 95 %: Wilson's over pairs for rates"]
    resampled = {found.resampled for found in comparison.differences.values()}
    if "people" in resampled:
        notes.append("Intervals of differences: people drawn again, the same for both models")
    if "pairs" in resampled:
        notes.append("Intervals of differences: pairs drawn again where people have no names or "
                     f"are fewer than {LEAST_PEOPLE}; too narrow if pairs share any")  # fmt: skip
    return [*notes, *comparison.notes]


def _percent(rate: Estimate | None) -> str:
    if rate is None:
        return "-"
    return f"{100 * rate.value:.2f} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"


def _points(rate: Estimate | None) -> str:
    if rate is None:
        return "-"
    # + 0.0: no minus before a zero.
    value, low, high = (round(100 * part, 2) + 0.0 for part in (rate.value, rate.low, rate.high))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _rate(rate: RateAtFar) -> str:
    if rate.point is None:
        return f"needs {rate.impostors_needed:,}"
    return _percent(Estimate(rate.point.tar, *rate.interval))


def _markdown(title: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join([f"**{title}**", "", *(f"| {' | '.join(line)} |" for line in cells), ""])


def _latex(title: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [" & ".join(map(_escaped, line)) + r" \\" for line in (head, *rows)]
    columns = "l" * len(head)
    return "\n".join([
        f"% {_one_line(title)}", rf"\begin{{tabular}}{{{columns}}}", r"\hline", lines[0], r"\hline",
        *lines[1:], r"\hline", r"\end{tabular}", "",
    ])  # fmt: skip


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _csv(comparison: Comparison) -> str:
    """Return a record for every figure: rates and differences as fractions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, RECORD, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_records(comparison))
    return text.getvalue()


def _records(comparison: Comparison) -> Iterator[dict]:
    for (target, model), found in comparison.figures.items():
        about = {"table": "models", "target": target, "model": model}
        yield about | {"measure": "accuracy"} | _values(found.accuracy)
        for rate in found.rates:
            of_far = about | {"measure": "tar", "far": rate.wanted_far}
            if rate.point is None:
                yield of_far | {"needed": rate.impostors_needed}
            else:
                yield of_far | _values(Estimate(rate.point.tar, *rate.interval))
    for (target, model), found in comparison.differences.items():
        about = {"table": "differences", "target": target, "model": model,
                 "reference": comparison.reference}  # fmt: skip
        yield about | {"measure": "accuracy"} | _values(found.accuracy)
        for far, rate in found.tar.items():
            if rate is not None:
                yield about | {"measure": "tar", "far": far} | _values(rate)
        test = found.mcnemar
        yield about | {"measure": "right alone", "count": test.only_first}
        yield about | {"measure": "reference alone", "count": test.only_second}
        yield about | {"measure": "mcnemar p", "value": test.p}
    for (target, model, column), (far, groups) in comparison.groups.items():
        for one in groups:
            about = {"table": "groups", "target": target, "model": model, "far": far,
                     "group": f"{column}: {one.group}"}  # fmt: skip
            pairs = one.num_genuine + one.num_impostor
            yield about | {"measure": "accuracy", "count": pairs} | _values(one.accuracy)
            yield about | {"measure": "fnmr", "count": one.num_genuine} | _values(one.fnmr)
            yield about | {"measure": "fmr", "count": one.num_impostor} | _values(one.fmr)


def _values(rate: Estimate | None) -> dict[str, float]:
    return {} if rate is None else {"value": rate.value, "low": rate.low, "high": rate.high}

"""The quickstart's summary page: what was shown, in a sentence each, and where everything lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import os
from pathlib import Path

from arcface_mxnet.eval.comparison import Estimate
from arcface_mxnet.report.curves import Series, curve_figure
from arcface_mxnet.report.page import Section, write_page
from arcface_mxnet.report.pictures import jpeg, picture
from arcface_mxnet.report.scales import Axis
from arcface_mxnet.report.svg import element, text
from arcface_mxnet.report.tables import Cell, percent, table
import cv2
import numpy as np
from quickstart import FACES
from quickstart_figures import Claim, Figures

VERDICTS = {
    "better": "better than chance among people explains",
    "worse": "worse than chance among people explains",
    "undecided": "no difference is shown: the interval holds 0",
}
OBTAINED = (
    "differences are in points of a hundred, [ ] is the 95 % interval over people, of one seed; "
    "recipes/seeds.py tells of several"
)


@dataclass(frozen=True)
class Run:
    """One training.  loss, left_out: by name, (steps, values)."""

    title: str
    loss: Mapping[str, tuple[Sequence[int], Sequence[float]]]
    left_out: Mapping[str, tuple[Sequence[int], Sequence[float]]]


@dataclass(frozen=True)
class Size:
    """How large and fast a network is: millions of parameters, bytes on the disk, ms for a crop."""

    name: str
    parameters: int
    size: int
    milliseconds: float


def points(estimate: Estimate) -> str:
    """Return a difference of rates: +4.2 [+1.1, +8.0]."""
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def sentence(what: str, found: Claim) -> str:
    """Return what a paired difference says, as text."""
    return (
        f"{what}: accuracy {points(found.accuracy)}, TAR at FAR 1e-2 {points(found.tar)}, "
        f"AUC {points(found.auc)}; by the accuracy "
        f"{VERDICTS[found.verdict]}."
    )


def write_summary(
    path: Path,
    claims: Mapping[str, Claim],
    tables: Mapping[str, Mapping[str, Figures]],
    runs: Sequence[Run],
    sizes: Sequence[Size],
    links: Mapping[str, str],
    sheet: Path,
) -> None:
    """Write the page.  tables: by title.  links: words by the file's path beside the page."""
    summary = [text(sentence(what, found)) for what, found in claims.items()]
    summary.append(text(f"({OBTAINED}.)"))
    sections = [
        Section("Held-out people", "people 31-40, verified on once", figures_part(tables)),
        Section("Curves", "people 25-30, left out of training", curves_part(runs)),
        Section("Size and speed", "one crop at a time, on this computer", sizes_part(sizes)),
        Section("The far camera", "three crops, each as it is and four times changed",
                sheet_part(sheet)),
        Section("Files", "", links_part(path.parent, links)),
    ]  # fmt: skip
    write_page(path, "Quickstart on the ORL faces", summary, sections)


def figures_part(tables: Mapping[str, Mapping[str, Figures]]) -> str:
    """Return one table for each pair set."""
    head = ("network", "accuracy, 10 folds, %", "TAR at FAR 1e-2, %", "AUC")
    parts = []
    for title, rows in tables.items():
        cells = [
            (text(name), [
                percent(one.accuracy.value, (one.accuracy.low, one.accuracy.high)),
                percent(one.tar.value, (one.tar.low, one.tar.high)),
                Cell(f"{one.auc:.4f}", value=one.auc),
            ])
            for name, one in rows.items()
        ]  # fmt: skip
        parts += [element("h3", text(title)), table(title, head, cells)]
    return "".join(parts)


def curves_part(runs: Sequence[Run]) -> str:
    """Return two figures for each run: what training lowers, and the people left out."""
    charts = []
    for run in runs:
        for kind, curves in (("training", run.loss), ("people 25-30", run.left_out)):
            charts.append(_chart(run.title, kind, curves))
    return element("div", *charts, class_="charts")


def _chart(
    title: str, kind: str, curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]
) -> str:
    values = np.concatenate([np.asarray(values) for _, values in curves.values()])
    margin = 0.05 * (values.max() - values.min()) or 0.01
    last = max(steps[-1] for steps, _ in curves.values())
    series = [
        Series(name, number, np.asarray(steps, float), np.asarray(values),
               meaning=f"from {values[0]:.3f} to {values[-1]:.3f}")
        for number, (name, (steps, values)) in enumerate(curves.items())
    ]  # fmt: skip
    names = ", ".join(curves)
    return curve_figure(
        title, f"{kind}: {names}" if len(curves) == 1 else kind, series,
        Axis("step", 0, last, form="count"),
        Axis(names if len(curves) == 1 else "accuracy", float(values.min() - margin),
             float(values.max() + margin)),
    )  # fmt: skip


def sizes_part(sizes: Sequence[Size]) -> str:
    """Return the table of sizes."""
    rows = [
        (text(one.name), [
            Cell(f"{one.parameters / 1e6:.2f}"),
            Cell(f"{one.size / 1e6:.1f}"),
            Cell(f"{one.milliseconds:.1f}"),
        ])
        for one in sizes
    ]  # fmt: skip
    head = ("network", "million parameters", "MB of the checkpoint", "ms for a crop and its mirror")
    return table("Size and speed", head, rows, is_compared=False)


def sheet_part(sheet: Path) -> str:
    """Return the sheet of changed crops."""
    bgr = cv2.imread(os.fspath(sheet))
    return picture(jpeg(bgr, "crops as they are, and coarse"), [f"faces of {FACES}"])


def links_part(folder: Path, links: Mapping[str, str]) -> str:
    """Return a list of the files that are there."""
    return element("ul", *(
        element("li", element("a", text(words), href=name), text(f" {name}"))
        for name, words in links.items() if (folder / name).exists()
    ))  # fmt: skip

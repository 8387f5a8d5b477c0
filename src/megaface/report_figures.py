"""The figures of an identification report: CMC, ROC and the DET of open-set identification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..report.curves import Series, curve_figure
from ..report.scales import Axis, power
from ..report.svg import element
from .runs import Curves


@dataclass(frozen=True)
class Line:
    """What becomes one line of each figure."""

    name: str
    summary: dict
    curves: Curves

    @property
    def negatives(self) -> int:
        return self.summary["probes"] * self.summary["distractors"]


def figures(lines: Sequence[Line]) -> str:
    """Return all figures."""
    drawn = [cmc_figure(lines), roc_figure(lines), det_figure(lines)]
    return element("div", *drawn, class_="charts")


def cmc_figure(lines: Sequence[Line]) -> str:
    """Return the share of mates found by rank, from 1 to the last possible."""
    series = []
    for number, line in enumerate(lines):
        recall = line.curves.recall
        series.append(Series(
            line.name, number, line.curves.rank + 1.0, recall,
            end=line.summary["distractors"] + 1.0, meaning=f"rank 1 {100 * recall[0]:.2f} %",
        ))  # fmt: skip
    last = max(one.end for one in series)
    x = Axis("rank", 1.0, last, is_log=True, form="count")
    y = Axis("mates found, %", _floor(series), 1.0, form="percent")
    return curve_figure("CMC", "mates found by rank", series, x, y)


def roc_figure(lines: Sequence[Line]) -> str:
    """Return TPR over FPR, from the smallest FPR that the distractors support."""
    series = []
    for number, line in enumerate(lines):
        least = 1 / line.negatives
        fpr, tpr = _from(least, line.curves.fpr, line.curves.tpr, before=0.0)
        meaning = f"TPR {100 * tpr[0]:.2f} % at FPR {power(float(f'{least:.2g}'))}"
        series.append(Series(line.name, number, fpr, tpr, meaning=meaning))
    x = Axis("FPR", min(1 / line.negatives for line in lines), 1.0, is_log=True)
    y = Axis("TPR, %", _floor(series), 1.0, form="percent")
    return curve_figure("ROC", "TPR over FPR of all pairs", series, x, y)


def det_figure(lines: Sequence[Line]) -> str:
    """Return the misses over the false alarms of open-set identification at rank 1."""
    series = []
    for number, line in enumerate(lines):
        least = 1 / line.summary["probes"]
        fpir, fnir = _from(least, line.curves.fpir, line.curves.fnir, before=1.0)
        meaning = f"FNIR {100 * fnir[0]:.2f} % at FPIR {power(float(f'{least:.2g}'))}"
        series.append(Series(line.name, number, fpir, fnir, meaning=meaning))
    x = Axis("FPIR", min(1 / line.summary["probes"] for line in lines), 1.0, is_log=True)
    least = min(float(one.y.min()) for one in series)
    floor = max(least / 2, min(1 / (2 * line.summary["ordered_pairs"]) for line in lines))
    y = Axis("FNIR", floor, 1.0, is_log=True)
    return curve_figure("DET", "open set, rank 1", series, x, y)


def _from(
    least: float, rates: np.ndarray, values: np.ndarray, *, before: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a step function from `least` on, where the last value up to there counts.

    before: its value where there is none.
    """
    rates = np.concatenate([[least], np.maximum(rates, least)])
    values = np.concatenate([[before], values])
    last = np.append(rates[1:] > rates[:-1], True)
    return rates[last], values[last]


def _floor(series: Sequence[Series]) -> float:
    """Return where the axis of rates that rise to 1 begins."""
    lowest = min(float(one.y[0]) for one in series)
    return max(0.0, min(0.99, lowest - 0.06 * (1 - lowest)))

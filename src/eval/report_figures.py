"""The figures of a verification report: ROC, DET, accuracy over the threshold, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..report.curves import MOST_BANDS, Series, curve_figure
from ..report.histograms import histogram_figure
from ..report.scales import Axis, power
from ..report.svg import element, text
from .evaluation import Evaluation
from .intervals import wilson

if TYPE_CHECKING:
    from .report import Entry

SCORES = "Of genuine and impostor pairs, as densities; dashed: the mean threshold of the folds."
MARGIN = 0.02  # of the range of scores, beside the outermost


@dataclass(frozen=True)
class RocSteps:
    """TAR as a function of FAR: tar[i] from far[i] on, ascending, float64 (K,) each.

    It is the largest TAR whose FAR is at most the one named.  It begins at 1 / num_impostor: no
    threshold has a FAR between that and 0.
    """

    far: np.ndarray
    tar: np.ndarray
    num_genuine: int
    num_impostor: int


def roc_steps(genuine: np.ndarray, impostor: np.ndarray) -> RocSteps:
    """Return the steps of the ROC of similarities (G,), (I,): a place for every genuine score."""
    impostor = np.sort(impostor)
    scores, counts = np.unique(genuine, return_counts=True)
    tar = np.cumsum(counts[::-1]) / len(genuine)
    far = 1 - np.searchsorted(impostor, scores[::-1], side="left") / len(impostor)
    least = 1 / len(impostor)
    far = np.concatenate([[least], np.maximum(far, least)])
    tar = np.concatenate([[0.0], tar])
    last = np.append(far[1:] > far[:-1] * (1 + 1e-12), True)
    return RocSteps(far[last], tar[last], len(genuine), len(impostor))


def figures(entries: Sequence[Entry]) -> str:
    """Return all figures of one pair set."""
    names = [entry.name for entry in entries]
    evaluations = [entry.evaluation for entry in entries]
    steps = [
        roc_steps(one.cosines[one.is_genuine], one.cosines[~one.is_genuine]) for one in evaluations
    ]
    # Cosines share an axis; of other scores each model has its own.
    of_cosines = [one.evaluation for one in entries if one.unit == "cosine"]
    cosines = score_axis("cosine", of_cosines) if of_cosines else None
    axes = [
        cosines if one.unit == "cosine" else score_axis(one.unit, [one.evaluation])
        for one in entries
    ]
    drawn = [roc_figure(names, steps), det_figure(names, steps)]
    if cosines:
        numbers = [number for number, one in enumerate(entries) if one.unit == "cosine"]
        drawn.append(accuracy_figure([names[n] for n in numbers], of_cosines, cosines, numbers))
    scores = [
        _histogram(name, number, one, axis)
        for number, (name, one, axis) in enumerate(zip(names, evaluations, axes, strict=True))
    ]
    return (
        element("div", *drawn, class_="charts")
        + element("h3", "Scores")
        + element("p", text(SCORES), class_="note")
        + element("div", *scores, class_="charts")
    )


def roc_figure(names: Sequence[str], steps: Sequence[RocSteps]) -> str:
    """Return TAR over FAR, FAR logarithmic down to what the impostor pairs support."""
    series = _series(names, steps)
    lowest = min(float((one.y if one.low is None else one.low)[0]) for one in series)
    lowest = max(0.0, lowest - 0.06 * (1 - lowest))
    note = "TAR over FAR" + _bands_note(series)
    y = Axis("TAR, %", lowest if lowest < 1 else 0.99, 1.0, form="percent")
    return curve_figure("ROC", note, series, _far_axis(steps), y)


def det_figure(names: Sequence[str], steps: Sequence[RocSteps]) -> str:
    """Return 1 - TAR over FAR, both logarithmic; 0 lies at the foot of the figure."""
    series = [
        Series(
            one.name, one.number, one.x, 1 - one.y, None if one.low is None else 1 - one.high,
            None if one.low is None else 1 - one.low,
            meaning=f"EER near {100 * _equal_error(one):.2f} %",
        )
        for one in _series(names, steps)
    ]  # fmt: skip
    floor = min(1 / (2 * one.num_genuine) for one in steps)
    y = Axis("1 − TAR", floor, 1.0, is_log=True)
    note = "1 − TAR over FAR" + _bands_note(series)
    return curve_figure("DET", note, series, _far_axis(steps), y, diagonal="EER")


def accuracy_figure(
    names: Sequence[str], evaluations: Sequence[Evaluation], cosines: Axis, numbers: Sequence[int]
) -> str:
    """Return the accuracy on all pairs over the threshold; dots mark the folds' mean choice.

    numbers: of the series, which their colours go by.
    """
    series = []
    for number, name, one in zip(numbers, names, evaluations, strict=True):
        thresholds, accuracy = accuracy_steps(one, cosines.low)
        chosen = one.published.threshold
        height = float(accuracy[max(0, np.searchsorted(thresholds, chosen, side="left") - 1)])
        meaning = f"{100 * height:.2f} % at {chosen:.3f}"
        series.append(Series(name, number, thresholds, accuracy, mark=(chosen, height),
                             meaning=meaning))  # fmt: skip
    lowest = min(float(one.y.min()) for one in series)
    y = Axis("accuracy, %", min(lowest, 0.99), 1.0, form="percent")
    note = "over the threshold; dots: chosen"
    return curve_figure("Accuracy", note, series, cosines, y, is_labelled=False)


def accuracy_steps(evaluation: Evaluation, low: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (thresholds, accuracy): accuracy[i] just above thresholds[i], up to the next.

    low: where the first begins, below all scores.
    """
    genuine = np.sort(evaluation.cosines[evaluation.is_genuine])
    impostor = np.sort(evaluation.cosines[~evaluation.is_genuine])
    scores = np.unique(evaluation.cosines)
    accepted = genuine.size - np.searchsorted(genuine, scores, side="right")
    right = accepted + np.searchsorted(impostor, scores, side="right")
    thresholds = np.concatenate([[low], scores])
    return thresholds, np.concatenate([[genuine.size], right]) / evaluation.cosines.size


def _histogram(name: str, number: int, evaluation: Evaluation, axis: Axis) -> str:
    there = are_compared(evaluation)
    scores, flags = evaluation.cosines[there], evaluation.is_genuine[there]
    return histogram_figure(name, number, scores, flags, evaluation.published.threshold, axis)


def score_axis(unit: str, evaluations: Sequence[Evaluation]) -> Axis:
    """Return an axis that holds the scores of all pairs that were compared, and a little more."""
    scores = [one.cosines[are_compared(one)] for one in evaluations]
    low = min(float(some.min()) for some in scores)
    high = max(float(some.max()) for some in scores)
    margin = MARGIN * ((high - low) or 1.0)
    return Axis(unit, low - margin, high + margin)


def are_compared(evaluation: Evaluation) -> np.ndarray:
    """Return which of the evaluation's pairs have both faces, bool (P,).

    The others, where they are counted, have a score below every true one.
    """
    failures = evaluation.failures
    if failures is None or failures.mode != "count":
        return np.ones(len(evaluation.cosines), bool)
    return failures.compared


def _series(names: Sequence[str], steps: Sequence[RocSteps]) -> list[Series]:
    has_bands = len(names) <= MOST_BANDS
    series = []
    for number, (name, one) in enumerate(zip(names, steps, strict=True)):
        low = high = None
        if has_bands:
            hits = np.rint(one.tar * one.num_genuine)
            low, high = np.array([wilson(hit, one.num_genuine) for hit in hits]).T
        meaning = f"TAR {100 * one.tar[0]:.2f} % at FAR {power(float(f'{one.far[0]:.2g}'))}"
        series.append(Series(name, number, one.far, one.tar, low, high, meaning=meaning))
    return series


def _bands_note(series: Sequence[Series]) -> str:
    return ", 95 % intervals" if series[0].low is not None else ""


def _equal_error(missed: Series) -> float:
    return float(np.maximum(missed.x, missed.y).min())


def _far_axis(steps: Sequence[RocSteps]) -> Axis:
    least = min(1 / one.num_impostor for one in steps)
    return Axis("FAR", min(least, 0.5), 1.0, is_log=True)

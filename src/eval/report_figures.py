"""The figures of a verification report, as SVG text to stand in a page."""

from __future__ import annotations

from collections.abc import Sequence
import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
import numpy as np

from .evaluation import Evaluation
from .intervals import wilson
from .scores import roc

COLOURS = ("#2563eb", "#d9480f", "#0f8a5f", "#8b3fd1", "#c2255c", "#0b7285", "#846a00", "#495057")
IMPOSTOR_COLOUR = "#adb5bd"
POINTS = 300  # of a curve, evenly spread over the logarithm of FAR

STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be selected and takes the page's font
    "svg.hashsalt": "verification report",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#868e96",
    "axes.labelcolor": "#343a40",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "xtick.color": "#495057",
    "ytick.color": "#495057",
    "axes.grid": True,
    "grid.color": "#e9ecef",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.9,
    "figure.dpi": 72,
}

# matplotlib reads a style when it makes an artist, so every figure is drawn inside it.
_styled = matplotlib.rc_context(STYLE)

Named = Sequence[tuple[str, Evaluation]]


def colour_of(number: int) -> str:
    """Return the colour of model number 0, 1 .."""
    return COLOURS[number % len(COLOURS)]


@_styled
def roc_figure(models: Named) -> str:
    """Return TAR over FAR, FAR logarithmic, with Wilson's 95 % bands."""
    figure, axes = _figure()
    lowest = 1.0
    for number, (name, evaluation) in enumerate(models):
        far, tar, low, high = _curve(evaluation)
        axes.fill_between(far, low, high, color=colour_of(number), alpha=0.13, linewidth=0)
        axes.plot(far, tar, color=colour_of(number), label=name)
        lowest = min(lowest, float(low.min()))
    axes.set(xscale="log", xlabel="FAR", ylabel="TAR", title="ROC with 95 % intervals")
    axes.set_ylim(max(0.0, lowest - 0.15 * (1 - lowest)), 1 + 0.04 * (1 - lowest))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    _far_axis(axes, models)
    axes.legend(loc="lower right")
    return _svg(figure)


@_styled
def det_figure(models: Named) -> str:
    """Return 1 - TAR over FAR, both logarithmic, with Wilson's 95 % bands and the EER line."""
    figure, axes = _figure()
    floor = min(1 / (2 * evaluation.is_genuine.sum()) for _, evaluation in models)
    for number, (name, evaluation) in enumerate(models):
        far, tar, low, high = _curve(evaluation)
        missed, least, most = (np.maximum(1 - rate, floor) for rate in (tar, high, low))
        axes.fill_between(far, least, most, color=colour_of(number), alpha=0.13, linewidth=0)
        axes.plot(far, missed, color=colour_of(number), label=name)
    edge = np.array([floor, 1.0])
    axes.plot(edge, edge, color="#868e96", linewidth=0.9, linestyle=(0, (4, 3)), label="EER")
    axes.set(xscale="log", yscale="log", xlabel="FAR", ylabel="1 - TAR", title="DET")
    axes.set_ylim(floor, 1)
    _far_axis(axes, models)
    axes.legend(loc="upper right")
    return _svg(figure)


@_styled
def accuracy_figure(models: Named) -> str:
    """Return the accuracy on all pairs over the threshold; dots mark the folds' mean choice."""
    figure, axes = _figure()
    thresholds = np.linspace(-1, 1, 401)
    for number, (name, evaluation) in enumerate(models):
        genuine = np.sort(evaluation.cosines[evaluation.is_genuine])
        impostor = np.sort(evaluation.cosines[~evaluation.is_genuine])
        accepted = genuine.size - np.searchsorted(genuine, thresholds)
        right = accepted + np.searchsorted(impostor, thresholds)
        accuracy = right / evaluation.cosines.size
        axes.plot(thresholds, accuracy, color=colour_of(number), label=name)
        chosen = evaluation.published.threshold
        height = np.interp(chosen, thresholds, accuracy)
        axes.plot(chosen, height, "o", color=colour_of(number), markersize=6,
                  markeredgecolor="white")  # fmt: skip
    axes.set(xlabel="threshold, cosine", ylabel="accuracy", title="Accuracy over threshold")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlim(*_shown_range([evaluation for _, evaluation in models]))
    axes.legend(loc="upper left")
    return _svg(figure)


@_styled
def histogram_figure(models: Named, number: int) -> str:
    """Return one model's cosines of genuine and impostor pairs as densities, with its threshold.

    All models of a report share the range of cosines.
    """
    name, evaluation = models[number]
    figure, axes = _figure()
    edges = np.linspace(*_shown_range([evaluation for _, evaluation in models]), 76)
    for flags, shade, label in (
        (~evaluation.is_genuine, IMPOSTOR_COLOUR, "impostor"),
        (evaluation.is_genuine, colour_of(number), "genuine"),
    ):
        axes.hist(evaluation.cosines[flags], edges, density=True, color=shade, alpha=0.75,
                  label=f"{label}, {int(flags.sum()):,}")  # fmt: skip
    threshold = evaluation.published.threshold
    axes.axvline(threshold, ymax=0.88, color="#212529", linewidth=1.1, linestyle=(0, (4, 2)))
    axes.annotate(f" {threshold:.3f}", (threshold, 0.85), xycoords=("data", "axes fraction"),
                  va="top", color="#212529", fontsize=9)  # fmt: skip
    axes.set(xlabel="cosine", ylabel="density", title=name)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    axes.legend(loc="upper left", ncols=2)
    return _svg(figure)


def _curve(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (FAR, TAR, low, high) where the impostor pairs support a FAR."""
    genuine = evaluation.cosines[evaluation.is_genuine]
    impostor = evaluation.cosines[~evaluation.is_genuine]
    curve = roc(genuine, impostor)
    far = np.geomspace(1 / impostor.size, 1, POINTS)
    # Of the points with FAR at most this one, the last has the largest TAR.
    tar = curve.tar[np.searchsorted(curve.far, far * (1 + 1e-9), side="right") - 1]
    bands = np.array([wilson(round(rate * genuine.size), genuine.size) for rate in tar])
    return far, tar, bands[:, 0], bands[:, 1]


def _shown_range(evaluations: Sequence[Evaluation]) -> tuple[float, float]:
    """Return the range of cosines to show: all scores and a little more."""
    low = min(evaluation.cosines.min() for evaluation in evaluations)
    high = max(evaluation.cosines.max() for evaluation in evaluations)
    return float(low) - 0.03, min(1.0, float(high) + 0.03)


def _far_axis(axes: Axes, models: Named) -> None:
    axes.set_xlim(min(1 / (~evaluation.is_genuine).sum() for _, evaluation in models), 1)
    axes.grid(True, which="minor", axis="x", color="#f1f3f5", linewidth=0.6)


def _figure(width: float = 6.2, height: float = 4.1) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure) -> str:
    """Return the figure as an <svg> element without what only stands in files."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]

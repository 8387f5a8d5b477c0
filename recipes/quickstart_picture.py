"""The quickstart's picture: curves of training above, the scores of the held-out people below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from arcface_mxnet.eval.scored_pairs import ScoredPairs
import matplotlib
import numpy as np
from quickstart_page import Run

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)

INK, IMPOSTOR = "#22313f", "#c9ced6"
COLORS = ("#2a6fb0", "#8a4fb5", "#d98324", "#2f8f5b")


def draw(path: Path, scored: Mapping[str, Mapping[str, ScoredPairs]], runs: Sequence[Run]) -> None:
    """Draw both curves of each run, and histograms of the trained networks on each pair set."""
    plt.rcParams.update(
        {"font.size": 9, "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
         "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
         "axes.spines.right": False}
    )  # fmt: skip
    clean, far = scored.values()
    shown = [(name, one, "") for name, one in list(clean.items())[-4:]]
    shown += [(name, one, "far, ") for name, one in list(far.items())[-2:]]
    figure = plt.figure(figsize=(13, 7.6), layout="constrained")
    grid = figure.add_gridspec(2, 6)
    for column, run in enumerate(runs):
        _draw_run(figure.add_subplot(grid[0, 2 * column : 2 * column + 2]), run)
    colors = (*COLORS, *COLORS[2:])
    for column, ((name, one, where), color) in enumerate(zip(shown, colors, strict=True)):
        _draw_histogram(figure.add_subplot(grid[1, column]), f"{name}\n{where}", one, color)
    figure.suptitle(
        "Above: training on people 1-24, and the accuracy on people 25-30, left out of it.  "
        "Below: cosines of the pairs of people 31-40", fontsize=11,
    )  # fmt: skip
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_run(axes: plt.Axes, run: Run) -> None:
    for name, (steps, values) in run.loss.items():
        axes.plot(steps, values, color=INK, linewidth=1.5)
        axes.set(xlabel="step", ylabel=name, title=run.title)
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    for (name, (steps, values)), color in zip(run.left_out.items(), COLORS[::3], strict=False):
        right.plot(steps, values, color=color, marker="o", markersize=3, linewidth=1.5, label=name)
    right.set_ylabel("accuracy, people 25-30", color=COLORS[0])
    right.legend(frameon=False, fontsize=8, loc="center right")


def _draw_histogram(axes: plt.Axes, title: str, one: ScoredPairs, color: str) -> None:
    bins = np.linspace(min(one.cosines.min(), 0), 1, 40)
    axes.hist(one.cosines[~one.is_genuine], bins, color=IMPOSTOR, label="impostor")
    axes.hist(one.cosines[one.is_genuine], bins, color=color, alpha=0.75, label="genuine")
    axes.set(xlabel="cosine", yticks=[])
    axes.set_title(f"{title}accuracy {one.is_right.mean():.3f}", fontsize=9)
    axes.legend(frameon=False, fontsize=7, loc="upper left")

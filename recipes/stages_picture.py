"""A picture of runs in two stages, such as softmax and then triplets: curves of several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from quickstart_figures import curve

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)

INK, COLORS = "#22313f", ("#2a6fb0", "#d98324", "#2f8f5b", "#8a4fb5", "#b03a2e")


def draw_stages(
    path: Path,
    stages: Sequence[tuple[str, str, str, Sequence[Path]]],
    left_out: str,
    seeds: Sequence[int],
) -> None:
    """Draw each stage's curves: its loss above, the accuracy of those left out below.

    stages: title, metric, what that is called, and the prefixes of its runs, one of each seed.
    left_out: the target that was verified while they ran.  Losses have scales of their own.
    """
    figure, rows = plt.subplots(
        2, len(stages), figsize=(10, 6), layout="constrained", sharex="col",
        gridspec_kw={"width_ratios": [max(_steps(prefixes[0])) for *_, prefixes in stages]},
    )  # fmt: skip
    for (title, metric, words, prefixes), (above, below) in zip(stages, rows.T, strict=True):
        for prefix, seed, color in zip(prefixes, seeds, COLORS, strict=False):
            above.plot(*curve(prefix, metric), color=color, linewidth=1.5, label=f"seed {seed}")
            below.plot(*curve(prefix, f"{left_out}/accuracy"), color=color, marker="o",
                       markersize=3, linewidth=1.5)  # fmt: skip
        above.set(title=title, ylabel=words)
        below.set(xlabel="step", ylabel=f"accuracy, {left_out}")
        above.set_ylim(bottom=0)
    lows, highs = zip(*(below.get_ylim() for below in rows[1]), strict=True)
    for below in rows[1]:
        below.set_ylim(min(lows), max(highs))
    rows[0, 0].legend(frameon=False, fontsize=8)
    for axes in rows.flat:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _steps(prefix: Path) -> list[int]:
    return curve(prefix, "lr")[0]

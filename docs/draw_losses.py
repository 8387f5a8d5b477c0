"""Draws the pictures of docs/losses.md, out of the very graphs that training uses.

python docs/draw_losses.py [FOLDER]        (default: docs/pictures)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
import sys

import matplotlib

matplotlib.use("Agg")

from arcface_mxnet.config import TrainConfig  # noqa: E402
from arcface_mxnet.losses import build_loss  # noqa: E402
from arcface_mxnet.losses.margin import CosineSoftmax, Parts  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402  (after the choice of backend)
from matplotlib.patches import Arc  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402

PLAIN, FIRST, OTHERS = "#9a9a9a", "#1f5fa8", ("#c8553d", "#3f8f5b")
BLUE_AREA, RED_AREA = "#cfe0f3", "#f6d9d2"


@dataclass(frozen=True)
class Curve:
    """One line: a loss, its options, and what its graph is fed besides the cosines."""

    label: str
    key: str
    options: dict = field(default_factory=dict)
    length: float = 1.0  # of the embedding
    feed: dict = field(default_factory=dict)


STATISTICS = {"length_mean": 50.0, "length_std": 10.0}
PANELS: dict[str, Sequence[Curve]] = {
    "sphereface, lsoftmax, fnorm": [
        Curve("beta 0", "1", feed={"beta": 0.0}),
        Curve("beta 5", "1", feed={"beta": 5.0}),
    ],
    "cosface": [Curve("m 0.35", "2", {"margin_m": 0.35})],
    "multiplicative": [Curve("m 2", "3", {"margin_m": 2.0})],
    "arcface": [Curve("m 0.5", "4")],
    "arcface, easy margin": [Curve("m 0.5", "4", {"easy_margin": 1})],
    "combined": [
        Curve("0.9, 0.4, 0.15", "5", {"margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15})
    ],
    "arcface-intra, -inter": [Curve("m 0.5", "6", {"margin_b": 1.0})],
    "subcenter-arcface": [Curve("m 0.5", "subcenter-arcface", {"subcenters": 1})],
    "circle": [Curve("m 0.25", "circle", {"margin_m": 0.25})],
    "magface": [
        Curve("|x| 10", "magface", length=10.0),
        Curve("|x| 110", "magface", length=110.0),
    ],
    "adaface": [
        Curve("z 0", "adaface", {"margin_m": 0.4}, 50.0, STATISTICS),
        Curve("z -1", "adaface", {"margin_m": 0.4}, 10.0, STATISTICS),
        Curve("z 1", "adaface", {"margin_m": 0.4}, 90.0, STATISTICS),
    ],
    "curricularface": [
        Curve("t 0.5", "curricularface", feed={"curriculum": 0.5}),
        Curve("t 0", "curricularface", feed={"curriculum": 0.0}),
    ],
}


def changed_cosines(curve: Curve, cosines: np.ndarray) -> np.ndarray:
    """Return the cosines with the margin for class 0, (N, C) -> (N, C), by the loss's graph."""
    n, num_classes = cosines.shape
    config = TrainConfig(loss_type=curve.key, **curve.options)
    loss = build_loss(curve.key, config, num_classes)
    assert isinstance(loss, CosineSoftmax)
    names = ("embedding", "label", "weight", "cosines")
    given = {name: mx.sym.Variable(name) for name in names}
    own = mx.sym.pick(given["cosines"], given["label"], axis=1)
    symbol = loss.changed_cosines(Parts(**given, cosine=own, num_classes=num_classes))
    arguments = symbol.list_arguments()
    shapes = {"cosines": (n, num_classes), "label": (n,), "embedding": (n, 1), "beta": (n,)}
    shapes = {name: shape for name, shape in shapes.items() if name in arguments}
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", **shapes)
    places = {**executor.arg_dict, **executor.aux_dict}
    places["label"][:] = 0
    places["cosines"][:] = cosines
    if "embedding" in places:
        places["embedding"][:] = curve.length
    for name, value in curve.feed.items():
        places[name][:] = value
    return executor.forward(is_train=False)[0].asnumpy()


def draw_targets(path: Path) -> None:
    """Draw the target's logit, divided by the scale, over the angle to the own class."""
    degrees = np.linspace(0.2, 179.8, 500)
    cosine = np.cos(np.radians(degrees))
    _, axes = panels()
    for axis, (title, curves) in zip(axes.flat, PANELS.items(), strict=True):
        axis.plot(degrees, cosine, color=PLAIN, linewidth=1, linestyle="--")
        for curve, color in zip(curves, (FIRST, *OTHERS), strict=False):
            # the other class stands at 90 degrees; the target does not depend on it
            target = changed_cosines(curve, np.stack([cosine, 0 * cosine], axis=1))[:, 0]
            axis.plot(degrees, target, color=color, linewidth=1.6, label=curve.label)
        axis.set(title=title, xlim=(0, 180), ylim=(-3.2, 1.1), xticks=range(0, 181, 45))
        axis.legend(loc="lower left", frameon=False, fontsize=8, handlelength=1.2)
    label_edges(axes, "angle to the own class, degrees", "target logit / scale")
    save(path)


def draw_boundaries(path: Path) -> None:
    """Draw for two classes where a sample of each satisfies its margin, over both angles."""
    degrees = np.linspace(0.3, 179.7, 240)
    first, second = np.meshgrid(degrees, degrees)
    cosines = np.cos(np.radians(np.stack([first.ravel(), second.ravel()], axis=1)))
    _, axes = panels()
    for axis, (title, curves) in zip(axes.flat, PANELS.items(), strict=True):
        changed = changed_cosines(curves[0], cosines)
        ahead = (changed[:, 0] - changed[:, 1]).reshape(first.shape)
        for gap, area, color in ((ahead, BLUE_AREA, FIRST), (ahead.T, RED_AREA, OTHERS[0])):
            axis.contourf(first, second, gap, levels=[0, np.inf], colors=[area])
            axis.contour(first, second, gap, levels=[0], colors=[color], linewidths=1.2)
        axis.plot([0, 180], [0, 180], color=PLAIN, linewidth=1, linestyle="--")
        name = f"{title} ({curves[0].label})" if len(curves) > 1 else title
        axis.set(title=name, xlim=(0, 180), ylim=(0, 180))
        axis.set(xticks=range(0, 181, 45), yticks=range(0, 181, 45), aspect="equal")
    axes[0, 0].text(20, 150, "class 1", color=FIRST, fontsize=8)
    axes[0, 0].text(115, 20, "class 2", color=OTHERS[0], fontsize=8)
    label_edges(axes, "angle to class 1, degrees", "angle to class 2, degrees")
    save(path)


def draw_example(path: Path) -> None:
    """Draw the worked example: two classes, s = 2, a margin of 20 degrees."""
    stages = (
        ("softmax of cosines, s = 1", 40, 30, 1.0, 0),
        ("ArcFace, s = 2, margin 20°", 40, 30, 2.0, 20),
        ("ArcFace after training", 20, 50, 2.0, 20),
    )
    _, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
    for axis, (title, to_first, to_second, scale, margin) in zip(axes, stages, strict=True):
        p = first_probability(to_first, to_second, scale, margin)
        middle = 90
        arrow(axis, middle, "x", "black")
        arrow(axis, middle + to_first, "W1", FIRST)
        arrow(axis, middle - to_second, "W2", OTHERS[0])
        angle_arc(axis, middle, middle + to_first, 0.45, FIRST, f"{to_first}°")
        angle_arc(axis, middle - to_second, middle, 0.45, OTHERS[0], f"{to_second}°")
        if margin:
            end = middle + to_first + margin
            axis.plot(*ray(end), color=FIRST, linewidth=1, linestyle=":")
            angle_arc(axis, middle + to_first, end, 0.7, FIRST, f"+{margin}°")
        axis.set_title(f"{title}\np(class 1) = {p:.3f}", fontsize=10)
        axis.set(xlim=(-1.15, 1.15), ylim=(-0.08, 1.2), aspect="equal")
        axis.axis("off")
    save(path)


def first_probability(to_first: float, to_second: float, scale: float, margin: float) -> float:
    """Return ArcFace's probability of the own class from angles in degrees."""
    cosines = np.cos(np.radians([[to_first, to_second]]))
    curve = Curve("", "4", {"margin_m": float(np.radians(margin))})
    logits = scale * changed_cosines(curve, cosines)[0]
    return float(np.exp(logits[0]) / np.exp(logits).sum())


def ray(degrees: float, length: float = 1.0) -> np.ndarray:
    """Return the two ends of a line from the origin, ((x, x), (y, y))."""
    radians = np.radians(degrees)
    return np.outer([np.cos(radians), np.sin(radians)], [0, length])


def arrow(axis: Axes, degrees: float, label: str, color: str) -> None:
    (_, x), (_, y) = ray(degrees)
    axis.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color})
    axis.text(1.1 * x, 1.1 * y, label, color=color, ha="center", va="center", fontsize=10)


def angle_arc(axis: Axes, begin: float, end: float, radius: float, color: str, label: str) -> None:
    axis.add_patch(Arc((0, 0), 2 * radius, 2 * radius, theta1=begin, theta2=end, color=color))
    (_, x), (_, y) = ray((begin + end) / 2, radius + 0.11)
    axis.text(x, y, label, color=color, ha="center", va="center", fontsize=8)


def panels() -> tuple:
    """Return figure and axes, three rows of four."""
    return plt.subplots(3, 4, figsize=(10, 7.8), sharex=True, sharey=True, layout="constrained")


def label_edges(axes: np.ndarray, x: str, y: str) -> None:
    for axis in axes.flat:
        axis.title.set_fontsize(10)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel(x, fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel(y, fontsize=8)


def save(path: Path) -> None:
    plt.savefig(path, dpi=90, metadata={"Software": None})
    plt.close()
    print(path)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(__file__).parent / "pictures",
        help="where the pictures go (default: docs/pictures)",
    )  # fmt: skip
    return parser


def main(argv: list[str] | None = None) -> int:
    folder = build_parser().parse_args(argv).folder
    folder.mkdir(parents=True, exist_ok=True)
    draw_targets(folder / "losses-targets.png")
    draw_boundaries(folder / "losses-boundaries.png")
    draw_example(folder / "arcface-example.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compare the quickstart's networks on the held-out people: a picture and a table.

    python recipes/quickstart_report.py --data-dir datasets/orl-30 --target people_31_40 \\
        --run runs/quickstart
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
import json
from pathlib import Path
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding.vectors import cosines_of
from arcface_mxnet.eval.pair_embeddings import embed_pair_set
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set
from arcface_mxnet.eval.protocols import unit_distances, verify_distances
from arcface_mxnet.eval.scores import area_under_curve, roc, tar_at_far
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.initial import initial_params
import matplotlib
import mxnet as mx
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the backend is chosen)

FAR = 1e-2
UNTRAINED_SEED = 727
INK = "#22313f"


@dataclass(frozen=True)
class Row:
    """One contender: cosine similarities of all pairs, and how it is drawn."""

    name: str
    cosines: np.ndarray
    is_genuine: np.ndarray
    color: str

    @property
    def genuine(self) -> np.ndarray:
        return self.cosines[self.is_genuine]

    @property
    def impostor(self) -> np.ndarray:
        return self.cosines[~self.is_genuine]

    @property
    def figures(self) -> tuple[float, float, float, float]:
        """Accuracy at the best threshold of all pairs, 10-fold accuracy, AUC, TAR at FAR 1e-2."""
        distances = 2 - 2 * self.cosines
        return (
            verify_distances(distances, self.is_genuine, folds=1).accuracy,
            verify_distances(distances, self.is_genuine, folds=10).accuracy,
            area_under_curve(self.genuine, self.impostor),
            tar_at_far(self.genuine, self.impostor, FAR).tar,
        )


def pixel_cosines(pairs: PairSet) -> np.ndarray:
    """Return the cosine of the grey values of each pair."""
    pixels = np.stack([image.mean(axis=2).ravel() for image in pairs.decoded()])
    return cosines_of(unit_distances(pixels[0::2], pixels[1::2]))


def embedding_cosines(embedder: Embedder, pairs: PairSet) -> np.ndarray:
    """Return the cosine of plain + flipped embeddings of each pair."""
    both = embed_pair_set(embedder, pairs).flip_sum
    return cosines_of(unit_distances(both[0::2], both[1::2]))


def untrained() -> Embedder:
    """Return y1 as training finds it: drawn, not trained."""
    symbol = build_network("y1", NetworkOptions(emb_size=128, output="GDC"))
    mx.random.seed(UNTRAINED_SEED)
    shapes = {"data": (1, 3, 112, 112)}
    params = initial_params(symbol, shapes, NETWORKS["y1"].initializer())
    return Embedder.from_parameters(symbol, *params)


def compare(pairs: PairSet, run_dir: Path) -> list[Row]:
    """Return all contenders."""
    networks = {
        "y1 untrained": (untrained(), "#b0a08e"),
        "y1 from scratch, 30 people": (Embedder(f"{run_dir}/y1,last"), "#2a6fb0"),
        "m1 pretrained": (Embedder("models/sface-m1,0"), "#d98324"),
        "m1 fine-tuned, 30 people": (Embedder(f"{run_dir}/m1,last"), "#2f8f5b"),
    }
    rows = [Row("raw pixels", pixel_cosines(pairs), pairs.is_genuine, "#8a8f98")]
    for name, (embedder, color) in networks.items():
        rows.append(Row(name, embedding_cosines(embedder, pairs), pairs.is_genuine, color))
    return rows


def loss_curve(run_dir: Path, name: str) -> tuple[list[int], list[float]]:
    """Return steps and cross entropy of a run."""
    with Path(f"{run_dir}/{name}-metrics.csv").open(encoding="utf-8") as file:
        points = [row for row in csv.DictReader(file) if row["metric"] == "ce_loss"]
    return [int(point["step"]) for point in points], [float(point["value"]) for point in points]


def draw(rows: list[Row], run_dir: Path) -> Path:
    """Draw loss, ROC and histograms; return the picture's path."""
    plt.rcParams.update(
        {"font.size": 10, "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
         "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
         "axes.spines.right": False}
    )  # fmt: skip
    figure = plt.figure(figsize=(13, 7.6), layout="constrained")
    grid = figure.add_gridspec(2, len(rows))
    half = (len(rows) + 1) // 2
    _draw_loss(figure.add_subplot(grid[0, : half - 1]), rows, run_dir)
    _draw_roc(figure.add_subplot(grid[0, half - 1 :]), rows)
    for column, row in enumerate(rows):
        _draw_histogram(figure.add_subplot(grid[1, column]), row)
    figure.suptitle(
        "People 31-40 of ORL, never trained on: 450 genuine and 450 impostor pairs", fontsize=13
    )
    path = run_dir / "quickstart.png"
    figure.savefig(path, dpi=110)
    return path


def _draw_loss(axes: plt.Axes, rows: list[Row], run_dir: Path) -> None:
    for name, label, color in (
        ("y1", "y1 from scratch", rows[2].color),
        ("m1", "m1 fine-tuned", rows[4].color),
    ):
        axes.plot(*loss_curve(run_dir, name), color=color, label=label, linewidth=1.8)
    axes.set(xlabel="step", ylabel="ArcFace cross entropy", title="Training loss")
    axes.legend(frameon=False)


def _draw_roc(axes: plt.Axes, rows: list[Row]) -> None:
    for row in rows:
        curve = roc(row.genuine, row.impostor)
        label = f"{row.name}  (AUC {row.figures[2]:.3f})"
        axes.step(curve.far, curve.tar, where="post", color=row.color, label=label, linewidth=1.8)
    axes.set(xlabel="FAR", ylabel="TAR", title="ROC", xscale="log", xlim=(2e-3, 1), ylim=(0, 1.01))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right", fontsize=9)


def _draw_histogram(axes: plt.Axes, row: Row) -> None:
    bins = np.linspace(row.cosines.min(), 1, 40)
    axes.hist(row.impostor, bins, color="#c9ced6", label="impostor")
    axes.hist(row.genuine, bins, color=row.color, alpha=0.75, label="genuine")
    axes.set(xlabel="cosine", title=f"{row.name}\naccuracy {row.figures[0]:.3f}", yticks=[])
    axes.title.set_fontsize(10)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def print_table(rows: list[Row]) -> None:
    """Print one line per contender."""
    heads = ("accuracy*", "10 folds", "AUC", f"TAR@FAR{FAR:g}")
    print(f"\n{'people 31-40, 900 pairs':28}" + "".join(f"{head:>13}" for head in heads))
    for row in rows:
        print(f"{row.name:28}" + "".join(f"{figure:13.4f}" for figure in row.figures))
    print("* at the best threshold for all 900 pairs")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, help="folder that holds TARGET.bin")
    parser.add_argument("--target", required=True, help="name of the pair set")
    parser.add_argument("--run", required=True, type=Path, help="folder of the trained networks")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Compare, draw and print."""
    arguments = build_parser().parse_args(argv)

    def work() -> int:
        pairs = read_pair_set(Path(arguments.data_dir, f"{arguments.target}.bin"))
        rows = compare(pairs, arguments.run)
        path = draw(rows, arguments.run)
        figures = {row.name: row.figures for row in rows}
        Path(arguments.run, "quickstart.json").write_text(json.dumps(figures, indent=1))
        print_table(rows)
        print(f"picture: {path}")
        return 0

    return run(work)


if __name__ == "__main__":
    sys.exit(main())

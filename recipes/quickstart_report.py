"""Compare the quickstart's networks on the held-out people: tables, a picture, a summary page.

python recipes/quickstart_report.py --data-dir datasets/orl-24 --run runs/quickstart
"""

from __future__ import annotations

import argparse
from pathlib import Path
import shutil
import sys

from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.cli import run
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set
from arcface_mxnet.eval.protocols import verify_distances
from arcface_mxnet.eval.scored_pairs import ScoredPairs, read_scored_pairs
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.initial import initial_params
from marked import markdown, rewrite
import mxnet as mx
from quickstart import FACES
from quickstart_figures import (
    FAR,
    Claim,
    Figures,
    claim,
    curve,
    embedding_cosines,
    figures,
    milliseconds,
    scored_network,
    scored_pixels,
    write_figures,
)
from quickstart_page import OBTAINED, Run, Size, sentence, write_summary
from quickstart_picture import draw

CLEAN, FAR_AWAY = "people_31_40", "people_31_40_far"
LEFT_OUT = "people_25_30"
TITLES = {
    CLEAN: "people 31-40, 900 pairs",
    FAR_AWAY: f"the same, faces of {FACES}",
}
UNTRAINED_SEED = 727
ROOT = Path(__file__).resolve().parents[1]
PIXELS, UNTRAINED = "raw pixels", "y1 untrained"
NAMES = {  # by the alias of the stage "verify", in the order of the tables
    "y1-scratch": "y1 from scratch",
    "y1-taught": "y1 taught by m1",
    "m1": "m1 pretrained",
    "m1-far": "m1 fine-tuned",
}
SCRATCH, TAUGHT, PRETRAINED, FINETUNED = NAMES.values()
CLAIMS = (  # what is claimed, of which pair set, first minus second
    ("Fine-tuning for the far camera, on its pictures", FAR_AWAY, FINETUNED, PRETRAINED),
    ("... and on clean ones", CLEAN, FINETUNED, PRETRAINED),
    ("y1 from scratch, beside the untrained y1", CLEAN, SCRATCH, UNTRAINED),
    ("y1 taught by m1, beside y1 from scratch", CLEAN, TAUGHT, SCRATCH),
    ("y1 taught by m1, beside m1 itself", CLEAN, TAUGHT, PRETRAINED),
)
LINKS = {
    "report.html": "verification of people 31-40: curves, thresholds, wrong pairs",
    "held_out.json": "every figure of it",
    "megaface/results/report_m1.html": "the small MegaFace",
    "quickstart.png": "the picture of the README",
    "quickstart.json": "the figures of this page",
    "y1-scratch-last.params": "y1 from scratch",
    "y1-scratch-metrics.csv": "its curves",
    "y1-taught-last.params": "y1 taught by m1",
    "y1-taught-metrics.csv": "its curves",
    "m1-far-last.params": "m1 fine-tuned for the far camera",
    "m1-far-metrics.csv": "its curves",
    "m1-far.onnx": "the same as ONNX",
}


def untrained() -> Embedder:
    """Return y1 as training finds it: drawn, not trained."""
    symbol = build_network("y1", NetworkOptions(emb_size=128, output="GDC"))
    mx.random.seed(UNTRAINED_SEED)
    params = initial_params(symbol, {"data": (1, 3, 112, 112)}, NETWORKS["y1"].initializer())
    return Embedder.from_parameters(symbol, *params)


def contenders(path: Path, pairs: PairSet) -> dict[str, dict[str, ScoredPairs]]:
    """Return the scores by pair set and name.  path: the JSON of the stage "verify"."""
    found: dict[str, dict[str, ScoredPairs]] = {CLEAN: {}, FAR_AWAY: {}}
    for one in read_scored_pairs(path):
        found[one.facts["target"]][NAMES[one.facts["alias"]]] = one
    rows = {target: {name: of[name] for name in NAMES.values()} for target, of in found.items()}
    like = rows[CLEAN][PRETRAINED]
    baselines = {
        PIXELS: scored_pixels(pairs, like),
        UNTRAINED: scored_network(UNTRAINED, untrained(), pairs, like),
    }
    return {CLEAN: {**baselines, **rows[CLEAN]}, FAR_AWAY: rows[FAR_AWAY]}


def runs_of(data_dir: Path, run_dir: Path) -> list[Run]:
    """Return what was trained, with its curves; that of fine-tuning begins at the pretrained m1."""

    def left_out(name: str) -> tuple[list[int], list[float]]:
        return curve(run_dir / name, f"{LEFT_OUT}/accuracy")

    def from_pretrained(target: str) -> tuple[list[int], list[float]]:
        steps, values = curve(run_dir / "m1-far", f"{target}/accuracy")
        pairs = read_pair_set(data_dir / f"{target}.bin")
        cosines = embedding_cosines(Embedder("models/sface-m1,0"), pairs)
        before = verify_distances(2 - 2 * cosines, pairs.is_genuine, folds=10).accuracy
        return [0, *steps], [before, *values]

    steps, cosines = curve(run_dir / "m1-far", "teacher_cosine")
    taught_steps, taught = curve(run_dir / "y1-taught", "teacher_cosine")
    return [
        Run(SCRATCH, {"cross entropy": curve(run_dir / "y1-scratch", "ce_loss")},
            {"accuracy": left_out("y1-scratch")}),
        Run(TAUGHT, {"1 - cosine to the teacher": (taught_steps, [1 - one for one in taught])},
            {"accuracy": left_out("y1-taught")}),
        Run(FINETUNED, {"1 - cosine to the teacher": (steps, [1 - one for one in cosines])},
            {"clean": from_pretrained(LEFT_OUT),
             "far camera": from_pretrained(f"{LEFT_OUT}_far")}),
    ]  # fmt: skip


def size_of(name: str, model: str, pairs: PairSet) -> Size:
    """Return the size and speed of a checkpoint, without classifier and momentum."""
    _, arg_params, aux_params = load_checkpoint(model)
    parts = {k: v for k, v in {**arg_params, **aux_params}.items() if not k.startswith("fc7")}
    count = sum(value.size for value in parts.values())
    return Size(name, count, 4 * count, milliseconds(model, pairs))


def print_tables(found: dict[str, dict[str, Figures]]) -> None:
    """Print one line per network and pair set."""
    for target, rows in found.items():
        print(f"\n{TITLES[target]:36}{'accuracy, 10 folds':>24}{f'TAR at FAR {FAR:g}':>24}"
              f"{'AUC':>9}")  # fmt: skip
        for name, one in rows.items():
            accuracy, tar, auc = cells_of(one)
            print(f"{name:36}{accuracy:>24}{tar:>24}{auc:>9}")


def cells_of(one: Figures) -> tuple[str, str, str]:
    """Return the figures in words, intervals in brackets."""
    rates = (f"{e.value:.4f} [{e.low:.3f}, {e.high:.3f}]" for e in (one.accuracy, one.tar))
    return *rates, f"{one.auc:.4f}"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, type=Path, help="folder of the pair sets")
    parser.add_argument("--run", required=True, type=Path, help="folder of the trained networks")
    parser.add_argument("--write", action="store_true", help="rewrite the README's table, picture")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Compare, draw and print."""
    arguments = build_parser().parse_args(argv)
    return run(lambda: compare(arguments.data_dir, arguments.run, is_written=arguments.write))


def compare(data_dir: Path, run_dir: Path, *, is_written: bool = False) -> int:
    """Write picture, figures and page; print tables and sentences; return 0.

    is_written: into the README too.
    """
    pairs = read_pair_set(data_dir / f"{CLEAN}.bin")
    scored = contenders(run_dir / "held_out.json", pairs)
    found = {target: {n: figures(one) for n, one in of.items()} for target, of in scored.items()}
    claims: dict[str, Claim] = {
        what: claim(scored[target][first], scored[target][second])
        for what, target, first, second in CLAIMS
    }
    sizes = [
        size_of("m1", "models/sface-m1,0", pairs),
        size_of("y1", f"{run_dir}/y1-taught,last", pairs),
    ]
    runs = runs_of(data_dir, run_dir)
    write_figures(run_dir / "quickstart.json", found)
    draw(run_dir / "quickstart.png", scored, runs)
    tables = {TITLES[target]: rows for target, rows in found.items()}
    write_summary(run_dir / "index.html", claims, tables, runs, sizes, LINKS, run_dir / "far.png")
    told = [sentence(what, one) for what, one in claims.items()]
    told += [f"{one.name}: {one.parameters / 1e6:.2f} million parameters, {one.size / 1e6:.1f} MB, "
             f"{one.milliseconds:.1f} ms for a crop and its mirror" for one in sizes]  # fmt: skip
    print_tables(found)
    print("\n" + "\n".join(told) + f"\n({OBTAINED})")
    if is_written:
        rewrite(ROOT / "README.md", "quickstart", readme_part(found, told))
        shutil.copyfile(run_dir / "quickstart.png", ROOT / "docs" / "pictures" / "quickstart.png")
    return 0


def readme_part(found: dict[str, dict[str, Figures]], told: list[str]) -> str:
    """Return the README's tables and sentences."""
    parts = []
    for target, rows in found.items():
        lines = [(name, *cells_of(one)) for name, one in rows.items()]
        heads = ("accuracy, 10 folds", f"TAR at FAR {FAR:g}", "AUC")
        parts.append(markdown((TITLES[target], *heads), lines))
    return "\n".join([*parts, "".join(f"* {line}\n" for line in told)])


if __name__ == "__main__":
    sys.exit(main())

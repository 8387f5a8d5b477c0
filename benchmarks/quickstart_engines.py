"""The quickstart's y1 trained on both engines: held-out figures by engine and seed.

    make quickstart                          (its stages up to "people_31_40" make the data)
    python -m benchmarks.quickstart_engines  (six runs: half an hour on two quiet cores)

The command is the quickstart's own with --engine and --seed.  Each network embeds the held-out
pairs with one engine, onnxruntime where it is installed.  The engines are apart if their means
differ by more than 2.78 standard errors of that difference, which the spread of the seeds gives:
what Student's t allows in 95 of 100 times for three seeds each.  A run that was interrupted goes
on, and one that is done is not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import subprocess

from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding.vectors import cosines_of
from arcface_mxnet.eval.pair_embeddings import embed_pair_set
from arcface_mxnet.eval.pair_sets import read_pair_set
from arcface_mxnet.eval.protocols import unit_distances, verify_distances
from arcface_mxnet.eval.scores import area_under_curve
import numpy as np

from recipes.quickstart import DATA, STAGES, TARGET, arguments_of

FIGURES = ("10-fold accuracy", "area under curve")
ERRORS = 2.78  # standard errors of a difference that count as none


def options_of_quickstart() -> list[str]:
    """Return the words of its training command, without what names files."""
    command = next(stage.command for stage in STAGES if stage.name == "scratch")
    words = arguments_of(command)
    for flag in ("--data-dir", "--prefix"):
        place = words.index(flag)
        del words[place : place + 2]
    return words


def train(data: Path, prefix: Path, engine: str, seed: int) -> None:
    extra = ["--data-dir", data, "--prefix", prefix, "--engine", engine, "--seed", seed]
    with Path(f"{prefix}.log").open("a") as log:
        words = [*options_of_quickstart(), *map(str, extra)]
        subprocess.run(words, check=True, stdout=log, stderr=subprocess.STDOUT)


def figures(data: Path, prefix: Path) -> tuple[float, float]:
    """Return accuracy and area under the curve of the held-out pairs."""
    pairs = read_pair_set(data / f"{TARGET}.bin")
    both = embed_pair_set(Embedder(f"{prefix},last"), pairs).flip_sum
    distances = unit_distances(both[0::2], both[1::2])
    cosines, is_genuine = cosines_of(distances), pairs.is_genuine
    return (
        verify_distances(distances, is_genuine, folds=10).accuracy,
        area_under_curve(cosines[is_genuine], cosines[~is_genuine]),
    )


def told(first: list[float], second: list[float]) -> str:
    """Return whether the means of two engines differ."""
    apart = float(np.mean(second) - np.mean(first))
    error = float(np.sqrt(sum(np.var(one, ddof=1) / len(one) for one in (first, second))))
    verdict = "within noise" if abs(apart) <= ERRORS * error else "apart"
    return f"difference {apart:+.4f}, standard error {error:.4f}: {verdict}"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path(DATA), help=f"({DATA})")
    parser.add_argument("--output", type=Path, default=Path("runs/engines"), help="(runs/engines)")
    parser.add_argument("--seeds", default="1,2,3", help="comma separated (1,2,3)")
    parser.add_argument("--engines", default="mxnet,torch", help="comma separated (both)")
    return parser


def main(argv: list[str] | None = None) -> None:
    if argv is None:
        print("half an hour: python -m benchmarks.quickstart_engines")
        return
    args = build_parser().parse_args(argv)
    if not (args.data_dir / "train.rec").is_file():
        print(f"no {args.data_dir}/train.rec: make quickstart packs it")
        return
    args.output.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in map(int, args.seeds.split(",")):
        for engine in args.engines.split(","):
            prefix = args.output / f"{engine}-{seed}"
            train(args.data_dir, prefix, engine, seed)
            found.setdefault(engine, []).append(figures(args.data_dir, prefix))
            pairs = zip(FIGURES, found[engine][-1], strict=True)
            shown = "  ".join(f"{name} {value:.4f}" for name, value in pairs)
            print(f"{engine:6} seed {seed}  {shown}", flush=True)
    for number, name in enumerate(FIGURES):
        columns = {engine: [one[number] for one in rows] for engine, rows in found.items()}
        for engine, values in columns.items():
            spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
            print(f"{name}, {engine}: mean {np.mean(values):.4f}, deviation {spread:.4f}")
        if len(columns) == 2 and min(map(len, columns.values())) > 1:
            print(f"  {told(*columns.values())}")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])

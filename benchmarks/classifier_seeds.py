"""Held-out figures of classifiers that are shared out, beside those of dense ones, over seeds.

    make quickstart                                                  (it makes the data)
    python -m benchmarks.classifier_seeds --data-dir datasets/orl-24 (25 runs, half an hour)

A small network learns people 1-24 of the ORL faces by ArcFace, and is asked about people 31-40, all
at half the size, 56 x 56, which takes a quarter of the time.
Of a seed all runs begin with the same parameters and see the same images: one process with a
classifier that is dense, sharded, or partial with a tenth of the identities, which beside 24 people
are those of the batch alone; and two processes of torchrun with half the batch each, dense and
sharded, whose batch statistics are others than those of one.  Differences are paired by seed, with
the interval that Student's t gives the mean in 95 of 100 times; within noise if it holds 0.
A run that was interrupted goes on, and one that is done is not repeated.
"""

from __future__ import annotations

import argparse
from contextlib import redirect_stdout
import os
from pathlib import Path
import shlex
import subprocess
import sys
from typing import NamedTuple

from arcface_mxnet import train_softmax
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.records import RecordWriter
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
import cv2
import numpy as np

from benchmarks.quickstart_engines import FIGURES, figures
from recipes.quickstart import DATA, TARGET

OPTIONS = shlex.split(
    "--network m05 --version-output E --emb-size 128 --loss-type 4 --margin-s 16 --margin-m 0.2 "
    "--rand-shift 3 --color 1 --lr 0.1 --lr-schedule cosine --engine torch --ckpt 0 --resume"
)
SIDE = 56  # of a crop
BATCH = 24  # images of a step, of all processes
# Of Student's t, by how many seeds there are.
T = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


class Kind(NamedTuple):
    """A classifier.  beside: the dense one that it is compared with."""

    processes: int
    flags: tuple[str, ...] = ()
    beside: str = ""


KINDS = {
    "dense": Kind(1),
    "sharded": Kind(1, ("--classifier", "sharded"), "dense"),
    "partial": Kind(1, ("--classifier", "partial", "--sample-rate", "0.1"), "dense"),
    "dense-2": Kind(2),
    "sharded-2": Kind(2, ("--classifier", "sharded"), "dense-2"),
}


def build_parser() -> argparse.ArgumentParser:
    head, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=Path(DATA), help=f"({DATA})")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/classifier"), help="(%(default)s)"
    )
    parser.add_argument("--seeds", default="1,2,3,4,5", help="comma separated (%(default)s)")
    parser.add_argument("--steps", type=int, default=80, help="of each run (%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma separated (%(default)s)")
    return parser


def shrink(data: Path, folder: Path) -> None:
    """Write the records and the pairs of a dataset anew, of half the size."""
    folder.mkdir(parents=True)
    dataset = FaceDataset(data)
    count, groups = len(dataset.image_keys), dataset.keys_by_identity
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key in dataset.image_keys.tolist():
            image, identity = dataset.sample(key)
            writer.write(key, [float(identity), 1.0], small(image))
        writer.write(0, [count + 1, count + 1 + len(groups)], b"")
        for identity, keys in enumerate(groups):
            writer.write(count + 1 + identity, [int(keys[0]), int(keys[-1]) + 1], b"")
    (folder / "property").write_text(f"{dataset.num_classes},{SIDE},{SIDE}\n")
    pairs = read_pair_set(data / f"{TARGET}.bin")
    images = [small(image) for image in pairs.decoded(dataset.image_shape)]
    write_pair_set(folder / f"{TARGET}.bin", PairSet(images, pairs.is_genuine))


def small(image: np.ndarray) -> bytes:
    """Return an RGB image as a PNG of SIDE x SIDE."""
    shrunk = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", shrunk[:, :, ::-1])[1].tobytes()


def train(kind: Kind, words: list[str], prefix: Path) -> None:
    """Make a run, or what is left of it."""
    batch = ["--per-batch-size", str(BATCH // kind.processes)]
    plan = Path(f"{prefix}-plan")
    if not Path(f"{plan}-train-plan.json").is_file():
        with redirect_stdout(None):
            code = train_softmax.main([*words, *batch, "--prefix", str(plan), "--plan-only"])
        if code:
            sys.exit(code)
    start = [sys.executable, "-m"]
    if kind.processes > 1:
        start += ["torch.distributed.run", "--rdzv-backend", "loopback"]
        start += ["--nproc-per-node", str(kind.processes), "-m"]
    more = ["--train-symbol", f"{plan}-train-symbol.json", "--prefix", str(prefix), *kind.flags]
    with Path(f"{prefix}.log").open("a") as log:
        subprocess.run(
            [*start, "arcface_mxnet.train_softmax", *words, *batch, *more],
            check=True, stdout=log, stderr=subprocess.STDOUT,
            env={"OMP_NUM_THREADS": "1"} | os.environ,
        )  # fmt: skip


def told(name: str, beside: str, differences: list[float]) -> str:
    """Return what the differences of the seeds say."""
    mean = float(np.mean(differences))
    if len(differences) not in T:
        return f"  {name} - {beside}: {mean:+.4f}"
    half = T[len(differences)] * float(np.std(differences, ddof=1)) / len(differences) ** 0.5
    verdict = "within noise" if abs(mean) <= half or not any(differences) else "apart"
    return f"  {name} - {beside}: {mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}], {verdict}"


def main(argv: list[str] | None = None) -> None:
    if argv is None:
        print("half an hour: python -m benchmarks.classifier_seeds --data-dir D")
        return
    args = build_parser().parse_args(argv)
    if not (args.data_dir / "train.rec").is_file():
        print(f"no {args.data_dir}/train.rec: make quickstart packs it")
        return
    data = args.output / "faces"
    if not (data / f"{TARGET}.bin").is_file():
        shrink(args.data_dir, data)
    kinds = {name: KINDS[name] for name in args.kinds.split(",")}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    common = [*OPTIONS, "--data-dir", str(data), "--max-steps", str(args.steps)]
    common += ["--verbose", str(args.steps), "--target", ""]
    for seed in args.seeds.split(","):
        for name, kind in kinds.items():
            prefix = args.output / f"{name}-{seed}"
            train(kind, [*common, "--seed", seed], prefix)
            found[name].append(figures(data, prefix))
            shown = zip(FIGURES, found[name][-1], strict=True)
            line = ", ".join(f"{figure} {value:.4f}" for figure, value in shown)
            print(f"seed {seed}, {name:9}  {line}", flush=True)
    for number, figure in enumerate(FIGURES):
        columns = {name: [one[number] for one in rows] for name, rows in found.items()}
        print(f"{figure} on {TARGET}")
        for name, values in columns.items():
            spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
            print(f"  {name}: mean {np.mean(values):.4f}, deviation {spread:.4f}")
        for name, kind in kinds.items():
            if kind.beside in columns:
                pairs = zip(columns[name], columns[kind.beside], strict=True)
                print(told(name, kind.beside, [one - other for one, other in pairs]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Choose what the quickstart trains y1 with, by people whom it neither trains nor reports on.

    python recipes/choose.py                  # all questions
    python recipes/choose.py scratch          # one

Every candidate trains on people 1-24 and is judged by people 25-30.  The one that is taken is the
quickstart's own run, so `make quickstart` comes first; the others are trained in runs/choices, and
one that is finished is not trained again.  Rewrites the table of docs/quickstart.md.  How m1 is
fine-tuned is chosen by recipes/folds.py.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
import subprocess
import sys

from arcface_mxnet.cli import run
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.eval.pair_sets import read_pair_set
from arcface_mxnet.eval.protocols import verify_distances
from marked import markdown, rewrite
import numpy as np
from quickstart import DATA, ROOT, RUN, SCRATCH, TAUGHT, arguments_of, training
from quickstart_figures import curve, embedding_cosines

CHOICES = "runs/choices"
PAGE = ROOT / "docs" / "quickstart.md"
LEFT_OUT = "people_25_30"
HEAD = ("candidate", "steps", "training, first and last", "people 25-30", "d'")


@dataclass(frozen=True)
class Question:
    """What is asked.  name: of the quickstart's run.  loss: the metric of training to show.
    others: the words and options of what was not taken.
    """

    name: str
    title: str
    taken: str
    loss: str
    others: tuple[tuple[str, str], ...]


def changed(options: str, *changes: tuple[str, str]) -> str:
    """Return options with texts replaced; each must be there."""
    for old, new in changes:
        assert old in options, (old, options)
        options = options.replace(old, new)
    return options


QUESTIONS = {
    "scratch": Question(
        "y1-scratch",
        "y1 from scratch: 200 steps",
        SCRATCH,
        "ce_loss",
        (
            (
                "half of the images blanked by 56 pixels, decay 0.002",
                changed(SCRATCH, ("--color 1", "--color 1 --cutoff 56 --wd 0.002")),
            ),
            ("100 steps", changed(SCRATCH, ("--max-steps 200", "--max-steps 100"))),
        ),
    ),
    "taught": Question(
        "y1-taught",
        "y1 taught beside ArcFace: 100 steps",
        TAUGHT,
        "teacher_cosine",
        (
            (
                "taught alone, without labels",
                changed(TAUGHT, ("--loss-type 4 --margin-s 16 --margin-m 0.2", "--loss-type none"),
                        (" --ce-loss", "")),
            ),
            ("taught beside ArcFace: 200 steps", changed(TAUGHT, ("steps 100", "steps 200"))),
        ),
    ),
}  # fmt: skip


def train(question: Question, number: int, options: str) -> Path:
    """Train a candidate that was not taken, unless it is finished; return its prefix."""
    prefix = f"{CHOICES}/{question.name}-{number}"
    command = training(options, "", LEFT_OUT, 20)
    command = command.replace(f"{RUN}/", prefix)
    print(f"$ {command}", flush=True)
    subprocess.run(arguments_of(command), cwd=ROOT, check=True)
    return ROOT / prefix


def is_finished(prefix: Path, options: str) -> bool:
    """Return whether a run has made the last step that its options name."""
    if not Path(f"{prefix}-metrics.csv").is_file():
        return False
    steps = curve(prefix, "lr")[0]
    return bool(steps) and f"--max-steps {steps[-1]} " in f"{options} "


def row(words: str, prefix: Path, loss: str) -> tuple[str, ...]:
    """Return the figures of a run: training's first and last ones, and those of people 25-30."""
    steps, values = curve(prefix, loss)
    name = {"ce_loss": "cross entropy", "teacher_cosine": "cosine to the teacher"}[loss]
    trained = f"{name} {values[0]:.2f}, {values[-1]:.2f}"
    return words, str(steps[-1]), trained, *judged(f"{prefix.relative_to(ROOT)},last")


def judged(model: str) -> list[str]:
    """Return accuracy and d' of a checkpoint on the pairs of people 25-30."""
    pairs = read_pair_set(ROOT / DATA / f"{LEFT_OUT}.bin")
    cosines, flags = embedding_cosines(Embedder(ROOT / model), pairs), pairs.is_genuine
    accuracy = verify_distances(2 - 2 * cosines, flags, folds=10).accuracy
    return [f"{accuracy:.4f}", f"{separation(cosines[flags], cosines[~flags]):.2f}"]


def separation(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Return d': how far apart the means are, in standard deviations (root mean variance)."""
    spread = np.sqrt((genuine.var() + impostor.var()) / 2)
    return float((genuine.mean() - impostor.mean()) / spread)


def choose(names: list[str]) -> int:
    """Train what is missing, print and write the table; return 0.

    Raises ValueError for another question, FileNotFoundError if the quickstart has not run.
    """
    unknown = [name for name in names if name not in QUESTIONS]
    if unknown:
        raise ValueError(f"question {unknown[0]!r}: known are {', '.join(QUESTIONS)}")
    if not (ROOT / DATA / f"{LEFT_OUT}.bin").is_file():
        raise FileNotFoundError(
            f"{ROOT / DATA / LEFT_OUT}.bin is not there: run `make quickstart` first"
        )
    (ROOT / CHOICES).mkdir(parents=True, exist_ok=True)
    for name in names:
        question = QUESTIONS[name]
        for number, (_, options) in enumerate(question.others, start=1):
            train(question, number, options)
    table = markdown(HEAD, rows())
    rewrite(PAGE, "choices", table)
    print(table, end="")
    return 0


def rows() -> list[tuple[str, ...]]:
    """Return a row for each candidate that is finished, the one that was taken in bold."""
    found = [("m1 pretrained", "0", "", *judged("models/sface-m1,0"))]
    for question in QUESTIONS.values():
        taken = ROOT / RUN / question.name
        if is_finished(taken, question.taken):
            found.append(row(f"**{question.title}**", taken, question.loss))
        for number, (words, options) in enumerate(question.others, start=1):
            prefix = ROOT / CHOICES / f"{question.name}-{number}"
            if is_finished(prefix, options):
                found.append(row(words, prefix, question.loss))
    return found


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)} (default: all)"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    names = build_parser().parse_args(argv).questions or list(QUESTIONS)
    return run(lambda: choose(names))


if __name__ == "__main__":
    sys.exit(main())

"""arcface-train --resume with a damaged file: of the dataset, or of the run it goes on from."""

from __future__ import annotations

from functools import partial
from pathlib import Path
import shutil
import tempfile

from tests.fuzz.commands import DEAR, command, run_main

OPTIONS = (
    "--network", "tiny", "--emb-size", "8", "--loss-type", "0", "--per-batch-size", "6",
    "--verbose", "1", "--target", "held", "--num-threads", "1",
)  # fmt: skip
RUN = ("last.params", "run.json", "metrics.csv", "symbol.json")
DATASET = ("train.rec", "train.idx", "property", "held.bin")


def after_one_step() -> dict[str, bytes]:
    """Return a tiny dataset and what one step of training on it left."""
    from tests.training.conftest import write_dataset

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "tiny")
        outcome = run_main("train_softmax", partial(training, steps=1), folder)
        assert outcome.code == 0, outcome.said
        found = [*(folder / "tiny").iterdir(), *(folder / "out").glob("t-*")]
        return {path.name: path.read_bytes() for path in found if path.is_file()}


def training(folder: Path, steps: int) -> list[str]:
    """Return the command line of a run that goes on to a step; out/ holds the earlier run."""
    from tests.training.conftest import enter_tiny

    enter_tiny()
    for path in folder.glob("t-*"):
        shutil.copy(path, folder / "out" / path.name)
    data = folder / "tiny" if (folder / "tiny").is_dir() else folder
    more = ["--resume"] if steps > 1 else []
    return ["--data-dir", str(data), "--prefix", "t", "--max-steps", str(steps), *OPTIONS, *more]


command("train", "train_softmax", after_one_step,
        [*DATASET, *(f"t-{name}" for name in RUN)], partial(training, steps=2),
        "mxnet", cost=DEAR)  # fmt: skip

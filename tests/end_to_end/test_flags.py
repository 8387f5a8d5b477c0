"""Every flag changes what it says: the tables of rows/, and the parsers, which have the last word.

What a row may need is made once; runs without the flag are shared between rows.
"""

import argparse
import shutil

from arcface_mxnet import train_softmax
import numpy as np
import pytest

from tests.batches.spoiling import spoil
from tests.end_to_end.commands import train
from tests.end_to_end.inputs import write_dataset
from tests.end_to_end.rows import (  # noqa: F401  (each enters its rows)
    train_classifier,
    train_data_and_network,
    train_losses,
    train_runs,
    train_teacher,
    train_updates,
)
from tests.end_to_end.rows.table import Table
from tests.end_to_end.rows.train import (
    BASE,
    OTHER,
    OTHER_VECTORS,
    PRETRAINED,
    SPOILT,
    TRAIN,
    VECTORS,
)

# What may change when a run goes on; with any other flag of another value it is another run.
FREE = {
    "--max-steps", "--end-epoch", "--verbose", "--frequent", "--ckpt", "--target", "--num-threads",
    "--tensorboard", "--pretrained", "--max-bad", "--new-head",
}  # fmt: skip
# Refused or decided for another reason before options are compared, or about the run itself.
APART = {
    "--prefix", "--data-dir", "--gpus", "--kvstore", "--dtype", "--memory-limit", "--resume",
    "--engine", "--compile", "--train-symbol", "--plan-only", "--classifier", "--sample-rate",
    "--classifier-memory", "--classifier-save",
}  # fmt: skip


def test_every_flag_has_a_row_and_every_row_a_flag():
    table, parser = TRAIN, train_softmax.build_parser
    faults = list(table.faults(parser()))
    assert not faults, "\n".join(faults)


def test_a_missing_row_and_a_needless_one_are_told():
    table, parser = Table("TABLE", "arcface-x", "rows/x.py"), argparse.ArgumentParser()
    parser.add_argument("--new", help="what is new")
    parser.add_argument("--hidden", help=argparse.SUPPRESS)
    table.row("--old")(lambda base, given: None)
    missing, needless = table.faults(parser)
    assert missing.startswith("arcface-x --new (what is new) has no row: add to rows/x.py")
    assert '@TABLE.row("--new", value=VALUE)' in missing
    assert needless == "rows/x.py: the row of --old is about a flag that arcface-x has not"


class TrainRuns:
    """Training commands by their arguments, each run once."""

    def __init__(self, faces, other, new_prefix):
        self._new_prefix, self._runs = new_prefix, {}
        self._faces, self._made = faces, {OTHER: lambda: other}
        self._made[PRETRAINED] = lambda: f"{self('--seed', '9', '--max-steps', '1').prefix},last"

    def __call__(self, *arguments, devices=1):
        key = (*arguments, devices)
        if key not in self._runs:
            self._runs[key] = self.anew(*arguments, devices=devices)
        return self._runs[key]

    def anew(self, *arguments, devices=1, prefix=None):
        start = ["--data-dir", self._faces, "--prefix", prefix or self._new_prefix()]
        words = [self._made[word]() if word in self._made else word for word in arguments]
        return train([*start, *BASE, *words], devices)

    def copy(self, run):
        """Return the prefix of a copy of what a run left."""
        prefix = self._new_prefix()
        folder = run.prefix.rpartition("/")[0]
        shutil.copytree(folder, prefix.rpartition("/")[0])
        return prefix


@pytest.fixture(scope="module")
def runs(faces, new_prefix, tmp_path_factory):
    other = write_dataset(tmp_path_factory.mktemp("other"), (5, 5, 5, 5, 5, 4, 2, 4), first=50)
    runs = TrainRuns(faces, other, new_prefix)
    spoilt = write_dataset(tmp_path_factory.mktemp("spoilt"))
    spoil(spoilt, 3, 30)
    runs._made["<a prefix>"] = new_prefix
    vectors = np.load(faces / "teacher.npy")
    np.save(faces / "other-teacher.npy", vectors[::-1])
    runs._made |= {
        VECTORS: lambda: faces / "teacher.npy",
        OTHER_VECTORS: lambda: faces / "other-teacher.npy",
    }
    runs._made[SPOILT] = lambda: spoilt
    return runs


@pytest.mark.parametrize("row", TRAIN.rows, ids=lambda row: row.name)
def test_train(row, runs):
    devices = row.more.get("devices", 1)
    base = runs(*row.on, devices=devices)
    assert base.code == 0, base.said
    with_flag = (*row.on, row.flags[0], *row.values)
    if "after" in row.more:
        prefix = runs.copy(runs(*row.on, *row.more["after"], devices=devices))
        given = runs.anew(*with_flag, devices=devices, prefix=prefix)
    else:
        given = runs.anew(*with_flag, devices=devices)
    row.differs(base, given)


COMPARED = [row for row in TRAIN.rows if row.flags[0] not in APART and not row.more]


@pytest.mark.parametrize("row", COMPARED, ids=lambda row: row.name)
def test_a_run_does_not_go_on_as_another(row, runs):
    """With --resume every flag is refused by its name, but those that change no numbers."""
    flag = row.flags[0]
    base = runs(*row.on)
    prefix = runs.copy(base)
    more = ("--resume", "--max-steps", "6") if flag in FREE - {"--max-steps"} else ("--resume",)
    given = runs.anew(*row.on, *more, flag, *row.values, prefix=prefix)
    if flag in FREE:
        assert given.code == 0, given.err
    else:
        assert given.code == 2 and f"{flag}: was " in given.err, given.err

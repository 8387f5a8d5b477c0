"""arcface-train: the classifier shared out, which PyTorch computes."""

from __future__ import annotations

from pathlib import Path

from arcface_mxnet.checkpoints.last_state import read_last
from arcface_mxnet.checkpoints.shards import with_classifier
from arcface_mxnet.training.engine import has_torch
import numpy as np

from tests.end_to_end.rows.refusals import refused
from tests.end_to_end.rows.train import TRAIN

SHARDED = ("--classifier", "sharded", "--ckpt", "2") if has_torch() else ()
PARTIAL = ("--classifier", "partial") if has_torch() else ()


def files(run):
    return [path.name for path in Path(run.prefix).parent.iterdir() if "-fc7" in path.name]


def whole(run):
    """Return the parameters of the last state with all rows."""
    return with_classifier(read_last(run.prefix), run.prefix).arg_params


@TRAIN.row("--classifier", value="sharded")
def has_its_rows_in_files(base, given):
    if not has_torch():
        refused(given, "--classifier sharded: is of --engine torch")
        return
    assert not files(base) and any("-last-fc7-" in name for name in files(given))
    assert (base.record["engine"], given.record["engine"]) == ("mxnet", "torch")
    assert "fc7_weight" in read_last(base.prefix).arg_params
    assert "fc7_weight" not in read_last(given.prefix).arg_params
    ends = whole(base), whole(given)
    assert ends[0].keys() == ends[1].keys()
    assert ends[0]["fc7_weight"].shape == ends[1]["fc7_weight"].shape


@TRAIN.row("--sample-rate", value="1.0", on=PARTIAL)
def computes_so_many(base, given):
    if not has_torch():
        refused(given, "--sample-rate and --classifier-memory serve --classifier partial alone")
        return
    ends = whole(base)["fc7_weight"], whole(given)["fc7_weight"]
    assert not np.array_equal(*ends)


@TRAIN.row("--classifier-memory", value="host", on=PARTIAL)
def moves_the_sampled_rows(base, given):
    """On a CPU the same memory, and the same numbers."""
    if not has_torch():
        refused(given, "--sample-rate and --classifier-memory serve --classifier partial alone")
        return
    ends = whole(base), whole(given)
    for name, array in ends[0].items():
        assert np.array_equal(ends[1][name], array), name


@TRAIN.row("--classifier-save", value="published", on=SHARDED)
def saves_all_rows_in_numbered_checkpoints(base, given):
    if not has_torch():
        refused(given, "--classifier-save published: a dense classifier is saved as published")
        return
    assert any("-0001-fc7" in name for name in files(base))
    assert not any("-0001-fc7" in name for name in files(given))
    assert "fc7_weight" in given.saved(1) and "fc7_weight" not in base.saved(1)

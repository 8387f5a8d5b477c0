"""arcface-train: what is learned from a teacher.  tests/end_to_end/formulas.py says how."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.end_to_end.results import assert_outputs
from tests.end_to_end.rows.train import OTHER_VECTORS, PRETRAINED, TRAIN, VECTORS
from tests.end_to_end.updates import assert_updates

BESIDE = ("--teacher", VECTORS, "--teacher-weight", "8")


def learns_otherwise(base, given):
    """Assert that both runs follow the formulas with their options, and that they differ."""
    for run in (base, given):
        assert_outputs(run)
        assert_updates(run)
    assert not np.allclose(base.saved()["fc1_beta"], given.saved()["fc1_beta"], rtol=1e-3)


TRAIN.row("--teacher", value=OTHER_VECTORS, on=BESIDE)(learns_otherwise)
TRAIN.row("--teacher-loss", value="squared", on=BESIDE)(learns_otherwise)
TRAIN.row("--teacher-weight", value="20", on=BESIDE)(learns_otherwise)


@TRAIN.row("--teacher-dtype", value="float16", on=("--teacher", PRETRAINED))
def keeps_it_in_half(base, given):
    """The vectors that the network makes, beside the prefix."""
    rows = [
        np.load(path) for run in (base, given)
        for path in Path(run.prefix).parent.glob("m-teacher-*.npy")
    ]  # fmt: skip
    assert [each.dtype for each in rows] == [np.float32, np.float16]
    np.testing.assert_array_equal(rows[0].astype(np.float16), rows[1])
    given_to = [run.steps[0].shares[0].teacher for run in (base, given)]
    np.testing.assert_array_equal(given_to[0].astype(np.float16), given_to[1])

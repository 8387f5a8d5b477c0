"""Every registered loss as whole commands: trained, stopped, resumed, saved and verified."""

import json

from arcface_mxnet.eval import verification
from arcface_mxnet.losses import LOSSES
import numpy as np
import pytest

from tests.end_to_end.commands import run, train
from tests.end_to_end.every_loss import KEYS, command
from tests.end_to_end.formulas import LOGITS, VALUES
from tests.end_to_end.results import assert_outputs, assert_same_end
from tests.end_to_end.updates import assert_updates

STEPS, VERBOSE = 4, 2


def test_the_sweep_has_every_loss():
    assert {LOSSES[key] for key in LOSSES} == {LOSSES[key] for key in KEYS}
    assert len(KEYS) == 21
    without = set(KEYS) - set(LOGITS) - set(VALUES)
    assert not without, f"write the formula of {without} in tests/end_to_end/formulas.py"


def verified(checkpoint, data_dir, json_path):
    """Return what arcface-verify says of a checkpoint on the pair set held."""
    argv = ["--data-dir", data_dir, "--model", checkpoint, "--target", "held", "--gpu", "-1"]
    done = run(verification.main, [*argv, "--json", json_path])
    assert done.code == 0, done.said
    return json.loads(json_path.read_text())[0]


@pytest.mark.parametrize("key", KEYS)
def test_trained_stopped_resumed_saved_verified(key, faces, new_prefix, tmp_path):
    more = ["--target", "held", "--verbose", VERBOSE, "--ckpt", 2]

    def done(prefix, *arguments):
        ran = train(command(key, faces, prefix, *more, *arguments))
        assert ran.code == 0, ran.said
        return ran

    whole = done(new_prefix(), "--max-steps", STEPS)
    assert len(whole.steps) == STEPS
    assert_outputs(whole)
    assert_updates(whole)
    # stopped and resumed, it is the very same run
    prefix = new_prefix()
    first = done(prefix, "--max-steps", VERBOSE)
    second = done(prefix, "--max-steps", STEPS, "--resume")
    assert [len(ran.steps) for ran in (first, second)] == [VERBOSE, STEPS - VERBOSE]
    assert_same_end(whole, second)
    # what was said while training is what the saved network is
    assert whole.numbers == [1, 2]
    before, said = whole.record["validation"]
    entry = verified(f"{whole.prefix},2", faces, tmp_path / "figures.json")
    for name, value in (entry["evaluations"]["FlipL2"] | {"xnorm": entry["xnorm"]}).items():
        if name in said:
            assert said[name] == pytest.approx(value, rel=1e-5), name
    assert f"held: {said['accuracy']:.5f} +- {said['std']:.5f}" in whole.out
    assert 0.3 < said["accuracy"] < 1 and said["xnorm"] != before["xnorm"]
    for name, array in whole.steps[-1].after.items():
        assert np.array_equal(whole.saved(2)[name], array), name

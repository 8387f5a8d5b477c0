"""Every registered loss as whole commands: trained, stopped, resumed, saved and verified."""

import json

from arcface_mxnet.eval import verification
from arcface_mxnet.losses import LOSSES
import numpy as np
import pytest

from tests.end_to_end.commands import run, stopping_after, train
from tests.end_to_end.every_loss import KEYS, command
from tests.end_to_end.formulas import LOGITS, VALUES
from tests.end_to_end.results import assert_outputs, assert_same_end
from tests.end_to_end.updates import assert_updates

STEPS, STOPPED = 4, 2


def test_the_sweep_has_every_loss():
    assert {LOSSES[key] for key in LOSSES} == {LOSSES[key] for key in KEYS}
    assert len(KEYS) == 22
    without = set(KEYS) - set(LOGITS) - set(VALUES) - {"none"}
    assert not without, f"write the formula of {without} in tests/end_to_end/formulas.py"


def verified(checkpoint, data_dir, json_path):
    """Return what arcface-verify says of a checkpoint on the pair set held."""
    argv = ["--data-dir", data_dir, "--model", checkpoint, "--target", "held", "--gpu", "-1"]
    done = run(verification.main, [*argv, "--json", json_path])
    assert done.code == 0, done.said
    return json.loads(json_path.read_text())[0]


@pytest.mark.parametrize("key", KEYS)
def test_trained_stopped_resumed_saved_verified(key, faces, softmax, new_prefix, tmp_path):
    # From a network that tells people apart, or every figure would be 0.5.
    more = ["--pretrained", f"{softmax.prefix},50"]
    more += ["--target", "held", "--verbose", STEPS, "--max-steps", STEPS]
    whole = train(command(key, faces, new_prefix(), *more))
    assert whole.code == 0, whole.said
    assert len(whole.steps) == STEPS
    assert_outputs(whole)
    assert_updates(whole)
    # stopped and resumed, it is the very same run
    again = command(key, faces, new_prefix(), *more)
    with stopping_after(STOPPED):
        first = train(again)
    assert (first.code, len(first.steps)) == (130, STOPPED), first.said
    second = train([*again, "--resume"])
    assert len(second.steps) == STEPS - STOPPED
    assert_same_end(whole, second)
    # what was said while training is what the saved network is
    assert whole.numbers == [1]
    (said,) = whole.record["validation"]
    entry = verified(f"{whole.prefix},1", faces, tmp_path / "figures.json")
    plain, both = (entry["evaluations"][name] for name in ("UnFlipL2", "FlipL2"))
    for name, value in {"xnorm": entry["xnorm"], "std": both["std"]}.items():
        assert said[name] == pytest.approx(value, rel=1e-5), name
    assert said["accuracy"] == pytest.approx(both["accuracy"])
    assert (plain["accuracy"], plain["std"]) != (both["accuracy"], both["std"]), "no difference"
    assert f"held: {said['accuracy']:.5f} +- {said['std']:.5f}" in whole.out
    assert 0.3 < said["accuracy"] < 1
    after = dict(whole.steps[-1].after)
    assert (after.pop("teacher_map_weight", None) is not None) == (key == "none")
    assert "teacher" not in whole.symbol
    saved = whole.saved(1)
    assert not [name for name in saved if "teacher" in name]
    for name, array in after.items():
        assert np.array_equal(saved[name], array), name

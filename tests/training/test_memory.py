"""The memory estimate, and the refusal of what does not fit."""

from pathlib import Path
import subprocess
import sys

from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.memory import GB, estimate_memory
from arcface_mxnet.training.plan import make_plan
import pytest

# Trains two steps and prints how much the process grew, in bytes.
GROWTH = """
import re, sys
def status(name):
    text = open("/proc/self/status").read()
    return int(re.search(name + r":\\s+(\\d+)", text)[1]) * 1024
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.loop import train
before = status("VmRSS")
train(TrainConfig(data_dir=sys.argv[1], prefix=sys.argv[2], network="y1", max_steps=2,
                  per_batch_size=8, image_size=(112, 112), target=()))
print(status("VmHWM") - before)
"""


def test_parts(options):
    estimate = estimate_memory(make_plan(TrainConfig(**options)))
    conv, slope, norms = 8 * 3 * 3 * 3, 8, 2 * 8 + 2 * 8
    dense, classifier = 7 * 7 * 8 * 8 + 8, 6 * 8
    assert estimate.weights == 4 * (conv + slope + norms + dense + classifier)
    assert estimate.gradients == estimate.momentum == estimate.weights
    assert estimate.total > 3 * estimate.weights
    without = estimate_memory(make_plan(TrainConfig(**options, mom=0.0)))
    assert without.momentum == 0


def test_activations_grow_with_the_batch_and_weights_do_not(options):
    one = estimate_memory(make_plan(TrainConfig(**options)))
    two = estimate_memory(make_plan(TrainConfig(**options | {"per_batch_size": 10})))
    assert two.weights == one.weights
    assert two.activations == pytest.approx(2 * one.activations, rel=0.01)
    assert two.logits == pytest.approx(2 * one.logits, rel=0.01)


def test_what_does_not_fit_is_refused_with_a_batch_that_does(options):
    plan = make_plan(TrainConfig(**options))
    estimate = estimate_memory(plan)
    limit = (estimate.total - 0.3 * (estimate.activations + estimate.logits)) / GB
    with pytest.raises(ValueError, match=r"more than --memory-limit .*--per-batch-size \d would"):
        train(TrainConfig(**options, memory_limit=limit))
    with pytest.raises(ValueError, match="even one image does not fit"):
        train(TrainConfig(**options, memory_limit=1e-6))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_estimate_is_within_a_quarter_of_what_a_run_takes(dataset_dir, tmp_path):
    prefix = str(tmp_path / "m")
    config = TrainConfig(
        data_dir=str(dataset_dir), prefix=prefix, network="y1", per_batch_size=8,
        image_size=(112, 112),
    )  # fmt: skip
    estimate = estimate_memory(make_plan(config)).total
    command = [sys.executable, "-c", GROWTH, str(dataset_dir), prefix]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert estimate == pytest.approx(int(done.stdout.split()[-1]), rel=0.25)

"""The diffs of CONTRIBUTING.md apply to this tree, and what they add can be chosen."""

from importlib.util import find_spec
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[1]
SECTIONS = re.findall(
    r"^## (.+?)\n.*?^```diff\n(.+?)^```$",
    (ROOT / "CONTRIBUTING.md").read_text(),
    re.M | re.S,
)
CHOICES = """
from arcface_mxnet.batches.augment import AUGMENTATIONS, ORDER
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.eval.pair_lists import PAIR_LISTS
from arcface_mxnet.losses import LOSSES, build_loss
from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
from arcface_mxnet.training.optimizer import OPTIMIZERS
import mxnet as mx
import numpy as np

for key in ("shrunk", "y3", "dark", "signsgd", "csv"):
    for registry in (LOSSES, NETWORKS, AUGMENTATIONS, OPTIMIZERS, PAIR_LISTS):
        if key in registry.names():
            print(key)
loss = build_loss("shrunk", TrainConfig(loss_type="shrunk", margin_m=0.2), 7)
network = build_network("y3", NetworkOptions(emb_size=512, output="GDC"))
loss.symbol(network, mx.sym.Variable("softmax_label")).infer_shape(data=(2, 3, 112, 112))
pixel = AUGMENTATIONS["dark"](np.full((1, 1, 3), (0, 100, 0)), np.random.default_rng(0), 1)
weights = [mx.nd.array([1.0, 1.0]), mx.nd.array([3.0, -3.0])]
OPTIMIZERS["signsgd"](wd=0.0, attributes={}).update(weights, 0.25, 0.0, 1.0, 0)
print(pixel[0, 0].tolist(), weights[0].asnumpy().tolist())
"""


def test_there_is_a_diff_for_each():
    kinds = ["loss", "network", "augmentation", "optimizer", "list of pairs"]
    assert [title.split(" ", 1)[1] for title, _ in SECTIONS] == kinds


def test_they_apply_and_can_be_chosen(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    if find_spec("mxnet") is None:
        pytest.skip("losses and networks need MXNet, which is not installed")
    without = shutil.ignore_patterns("__pycache__")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=without)
    for title, diff in SECTIONS:
        done = subprocess.run(
            ["git", "apply", "-"], input=diff, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{title}: {done.stderr}"
    (tmp_path / "arcface_mxnet").symlink_to("src")
    done = subprocess.run(
        [sys.executable, "-c", CHOICES],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = ["shrunk", "y3", "dark", "signsgd", "csv", "[0, 41, 0] [0.75, 1.25]"]
    assert done.stdout.splitlines() == expected

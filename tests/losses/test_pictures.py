"""The script that draws the pictures of docs/losses.md."""

import importlib.util
from pathlib import Path
import sys

import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "draw_losses.py"


@pytest.fixture(scope="module")
def draw_losses():
    spec = importlib.util.spec_from_file_location("draw_losses", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_pictures_are_drawn(draw_losses, tmp_path):
    assert draw_losses.main([str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "arcface-example.png", "losses-boundaries.png", "losses-targets.png"
    ]  # fmt: skip
    for path in tmp_path.iterdir():
        committed = cv2.imread(str(SCRIPT.parent / "pictures" / path.name))
        assert cv2.imread(str(path)).shape == committed.shape


def test_curves_come_from_the_graphs(draw_losses):
    cosines = np.cos(np.radians([[40.0, 30.0], [175.0, 30.0]]))
    changed = draw_losses.changed_cosines(draw_losses.Curve("", "4"), cosines)
    past_pi = cosines[1, 0] - 0.5 * np.sin(0.5)
    np.testing.assert_allclose(changed[:, 1], cosines[:, 1], rtol=1e-6)
    np.testing.assert_allclose(changed[:, 0], [np.cos(np.radians(40) + 0.5), past_pi], rtol=1e-5)


def test_every_margin_loss_is_drawn(draw_losses):
    from arcface_mxnet.losses import LOSSES
    from arcface_mxnet.losses.margin import CosineSoftmax

    drawn = {LOSSES[curve.key] for curves in draw_losses.PANELS.values() for curve in curves}
    margins = {LOSSES[key] for key in LOSSES.names() if issubclass(LOSSES[key], CosineSoftmax)}
    same_curve = {LOSSES[key] for key in ("lsoftmax", "fnorm-sphereface", "7")}
    assert drawn | same_curve == margins

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/benchmark.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("deploy_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_prints_the_time_and_share_of_every_stage(script, models, capsys):
    weights = ["--model", f"{models}/sface-m1,0", "--detector", f"{models}/mtcnn"]
    assert script.main([*weights, "--repetitions", "2", "--engine", "mxnet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "with mxnet, 2 passes" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == [*script.STAGES, "in"]
    stages = [float(line.split()[1]) for line in lines[1:5]]
    assert sum(stages) == pytest.approx(float(lines[5].split()[2]), abs=0.3)
    assert sum(int(line.split()[3].rstrip("%")) for line in lines[1:5]) in range(97, 104)


def test_a_photo_without_a_face_is_refused(script, models, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((90, 90), np.uint8))
    weights = ["--model", f"{models}/sface-m1,0", "--detector", f"{models}/mtcnn"]
    assert script.main([*weights, str(tmp_path / "black.png"), "--engine", "mxnet"]) == 2
    assert "photo 1 has no face" in capsys.readouterr().err

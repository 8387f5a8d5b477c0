"""From a verification to a deployed threshold: the card's, for just this embedding."""

import importlib.util
import json
from pathlib import Path

from arcface_mxnet.eval import verification
from arcface_mxnet.eval.pair_sets import PairSet, write_pair_set
from arcface_mxnet.serve import command
import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/test.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("deploy_card", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(tmp_path_factory, checkpoint):
    """Return a folder with the card of a checkpoint on twenty pairs, and two crops."""
    folder = tmp_path_factory.mktemp("card")
    rng = np.random.default_rng(0)
    images = []
    for pair in range(20):
        coarse = rng.integers(0, 256, (2, 7, 7, 3), dtype=np.uint8)
        coarse[1] = coarse[pair % 2]  # every other pair is genuine
        crops = coarse.repeat(16, axis=1).repeat(16, axis=2) // 2
        crops += rng.integers(0, 64, crops.shape, dtype=np.uint8)
        images += [cv2.imencode(".png", crop)[1].tobytes() for crop in crops]
    write_pair_set(folder / "lfw.bin", PairSet(images, np.arange(20) % 2 == 0))
    for name, image in zip("ab", images, strict=False):
        (folder / f"{name}.png").write_bytes(image)
    words = ["--data-dir", folder, "--target", "lfw", "--model", checkpoint, "--nfolds", "1",
             "--engine", "mxnet", "--card", folder / "card.json"]  # fmt: skip
    assert verification.main(list(map(str, words))) == 0
    return folder


def call(script, made, checkpoint, capsys, *more):
    words = [made / "a.png", made / "b.png", "--model", checkpoint, "--input", "crop",
             "--engine", "mxnet", *more]  # fmt: skip
    code = script.main(list(map(str, words)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(("flip", "rows"), [(0, "none"), (1, "sum")])
def test_the_threshold_of_the_deployed_embedding_is_taken(
    script, made, checkpoint, capsys, flip, rows
):
    card = json.loads((made / "card.json").read_text())
    wanted = card["thresholds"][rows][0]
    assert wanted["far"] == 0.1 and card["crop"] == [112, 112]
    asked = ["--flip", flip, "--threshold-card", made / "card.json", "--far", 0.1]
    code, out, _ = call(script, made, checkpoint, capsys, *asked)
    result = json.loads(out)
    assert code == 0 and result["threshold"] == pytest.approx(wanted["squared_l2"], abs=1e-12)
    is_near = result["squared_l2"] <= wanted["squared_l2"]
    assert result["verdict"] == ("same" if is_near else "different")


def test_a_card_of_another_model_is_refused(script, made, checkpoint, capsys, tmp_path):
    other = json.loads((made / "card.json").read_text()) | {"model_sha256": "0" * 64}
    (tmp_path / "other.json").write_text(json.dumps(other))
    asked = ["--threshold-card", tmp_path / "other.json", "--far", 0.1]
    code, out, err = call(script, made, checkpoint, capsys, *asked)
    assert (code, out) == (2, "")
    assert "this threshold card is of another model" in err and "arcface-verify --model" in err
    code, _, err = call(script, made, checkpoint, capsys, "--threshold-card", made / "card.json")
    assert code == 2 and "--far 0.001 needs 1,000 impostor pairs, lfw has 10; it has 0.1" in err


def test_the_service_reads_its_card_before_it_starts(capsys, tmp_path):
    (tmp_path / "card.json").write_text("{}")
    assert command.main(["--threshold-card", str(tmp_path / "card.json")]) == 2
    assert "card.json: is no threshold card" in capsys.readouterr().err
    assert command.main(["--far", "0.01"]) == 2
    assert "give --threshold-card FILE with it" in capsys.readouterr().err

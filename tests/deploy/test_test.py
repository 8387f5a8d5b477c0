"""deploy/test.py, run as its users do: its main, on real photos."""

import importlib.util
import io
import json
from pathlib import Path
import sys

import cv2
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/test.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("deploy_test", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(script, models, capsys):
    """Return (arguments -> exit code, output, errors)."""

    def run(*arguments):
        weights = ["--model", f"{models}/sface-m1,0", "--detector", f"{models}/mtcnn"]
        code = script.main([*map(str, arguments), "--engine", "mxnet", *weights])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def photos(shared_data):
    folder = shared_data / "lfw/fold_1"
    return {
        "one": folder / "Abel_Pacheco/Abel_Pacheco_0001.jpg",
        "same": folder / "Abel_Pacheco/Abel_Pacheco_0004.jpg",
        "other": folder / "Abdul_Rahman/Abdul_Rahman_0001.jpg",
    }


def test_two_photos_are_told_apart(call, photos):
    code, out, _ = call(photos["one"], photos["same"])
    same = json.loads(out)
    assert code == 0 and same["verdict"] == "same" and same["cosine"] > 0.5
    assert same["squared_l2"] == pytest.approx(2 - 2 * same["cosine"], abs=1e-5)
    _, out, _ = call(photos["one"], photos["other"], "--output", "text")
    assert out.split()[-1] == "different"
    _, out, _ = call(photos["one"], photos["same"], "--threshold", "0.1")
    assert json.loads(out)["verdict"] == "different"


def test_one_photo_gives_its_embedding_in_every_form(call, photos, monkeypatch):
    embedding = np.array(json.loads(call(photos["one"])[1]))
    assert embedding.shape == (128,) and np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    text = np.array(call(photos["one"], "--output", "text")[1].split(), float)
    assert np.allclose(text, embedding)
    output = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", output)
    assert call(photos["one"], "--output", "npy")[0] == 0
    assert np.allclose(np.load(io.BytesIO(output.buffer.getvalue())), embedding[None], atol=1e-6)


def test_a_crop_is_embedded_as_it_is(call, photos, tmp_path):
    crop = cv2.imread(str(photos["one"]))[69:181, 69:181]
    path = tmp_path / "crop.png"
    cv2.imwrite(str(path), crop)
    as_found, as_crop = (call(path, *more)[1] for more in ((), ("--input", "crop")))
    assert as_found == as_crop
    assert call(path, "--det", "1", "--input", "photo")[1] != as_crop


def test_exit_codes_tell_no_face_from_bad_input(call, tmp_path):
    black, broken = tmp_path / "black.png", tmp_path / "broken.jpg"
    cv2.imwrite(str(black), np.zeros((200, 300, 3), np.uint8))
    broken.write_bytes(b"no image")
    code, out, errors = call(black)
    assert (code, out) == (1, "") and "black.png: no face found in an image of 300x200" in errors
    code, out, errors = call(broken)
    assert (code, out) == (2, "") and "broken.jpg" in errors
    assert call(tmp_path / "absent.jpg")[0] == 2
    assert call(black, black, black)[0] == 2
    assert "height,width" in call(black, "--image-size", "112,100")[2]
    assert call(black, "--input", "crop")[0] == 2

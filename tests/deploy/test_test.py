"""deploy/test.py, run as its users do: its main, on real photos."""

import importlib.util
import io
import json
from pathlib import Path
import sys

from arcface_mxnet.align.crop import align_face
from arcface_mxnet.align.face import main_face
from arcface_mxnet.align.mtcnn import MtcnnDetector
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


def test_a_crop_is_embedded_as_it_is_and_a_photo_of_its_size_is_not(call, photos, tmp_path, models):
    photo = cv2.imread(str(photos["one"]))
    detector = MtcnnDetector(model_dir=models / "mtcnn", engine="mxnet")
    crop, small, grey = (tmp_path / f"{name}.png" for name in ("crop", "small", "grey"))
    landmarks = main_face(detector.detect(photo), photo.shape).landmarks
    cv2.imwrite(str(crop), align_face(photo, landmarks))
    as_found, as_crop = (call(crop, *more)[1] for more in ((), ("--input", "crop")))
    assert as_found == as_crop
    assert call(crop, "--det", "1", "--input", "photo")[1] != as_crop
    cv2.imwrite(str(small), cv2.resize(photo, (112, 112), interpolation=cv2.INTER_AREA))
    as_found, as_photo, as_crop = (
        call(small, *more)[1] for more in ((), ("--input", "photo"), ("--input", "crop"))
    )
    assert as_found == as_photo != as_crop
    cv2.imwrite(str(grey), np.full((112, 112), 99, np.uint8))
    code, _, errors = call(grey)
    assert code == 0 and "by its size alone, no face was found in it" in errors


def test_every_face_of_a_photo(call, photos, tmp_path):
    pair = np.hstack([cv2.imread(str(photos[name])) for name in ("one", "other")])
    path = tmp_path / "pair.png"
    cv2.imwrite(str(path), cv2.rotate(pair, cv2.ROTATE_180))
    code, out, errors = call(path)
    assert code == 0 and "2 faces; the large and central one, at " in errors
    assert "180 degrees counterclockwise set it upright" in errors
    code, out, errors = call(path, "--faces", "all")
    faces = json.loads(out)["images"][0]["faces"]
    assert code == 0 and len(faces) == 2 and errors == ""
    assert sorted(face["box"][0] > 250 for face in faces) == [False, True]
    for face in faces:
        assert face["turn"] == 180 and face["doubts"] == []
        assert abs(face["quality"]["roll"]) > 150 and face["quality"]["eye_distance"] > 20
    single = np.array(json.loads(call(photos["one"])[1]))
    cosines = sorted(single @ np.array(face["embedding"]) for face in faces)
    assert cosines[1] > 0.8 and cosines[0] < 0.5
    code, out, _ = call(path, photos["one"], "--faces", "all")
    rows = json.loads(out)["cosines"]
    assert sorted(row[0] for row in rows) == pytest.approx(cosines, abs=1e-4)


def test_an_uncertain_face_is_refused_with_what_to_do(call, photos, tmp_path):
    photo = cv2.imread(str(photos["other"]))
    noise = np.random.default_rng(0).normal(0, 60, photo.shape)
    path = tmp_path / "noisy.png"
    cv2.imwrite(str(path), np.clip(photo + noise, 0, 255).astype(np.uint8))
    code, out, errors = call(path)
    assert (code, out) == (1, "")
    assert "noisy.png: the face at " in errors and "is uncertain: its score is 0." in errors
    assert "Give an upright, sharper or larger photo" in errors
    code, out, errors = call(path, "--uncertain", "accept")
    assert code == 0 and len(json.loads(out)) == 128 and "uncertain: its score" in errors


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


@pytest.mark.parametrize(("given", "words"), [
    (("--input", "crop", "--det", "1", "--min-size", "9"), "--det, --min-size: --input crop, whi"),
    (("--input", "photo", "--det", "2", "--min-size", "9"), "--min-size: --det 2, which looks for"),
    (("--faces", "all", "--uncertain", "accept"), "--uncertain: --faces all, which tells the"),
])  # fmt: skip
def test_options_that_would_do_nothing_are_refused(call, photos, given, words):
    code, _, errors = call(photos["one"], *given)
    assert code == 2 and words in errors


def test_a_photo_of_too_many_pixels_is_refused_with_the_option(call, tmp_path):
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((200, 300, 3), np.uint8))
    code, _, errors = call(path, "--max-pixels", "59999")
    assert code == 2 and "large.png" in errors and "60000 pixels" in errors
    path.write_bytes(path.read_bytes()[:16] + (8000).to_bytes(4, "big") * 2 + bytes(4000))
    code, _, errors = call(path)
    assert code == 2 and "64000000 pixels" in errors and "--max-pixels" in errors
    assert "--max-pixels 0" in call(path, "--max-pixels", "0")[2]

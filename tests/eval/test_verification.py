"""The verification script: published lines and flags, on a small network and on real faces."""

from itertools import islice
import json
from pathlib import Path
import pickle
import re

from arcface_mxnet.checkpoints.network import model_fingerprint
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding.vectors import cosines_of
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
from arcface_mxnet.eval.protocols import unit_distances
from arcface_mxnet.eval.verification import list_models, main
import cv2
import mxnet as mx
import numpy as np
import pytest

MODELS = Path(__file__).parents[2] / "models"
SIZE = (8, 8)


def save_pack(path, num_pairs=60, names=False):
    """Write pairs of noise images; genuine ones differ by some noise, so a few go wrong."""
    rng = np.random.default_rng(0)
    images, identities = [], []
    for pair in range(num_pairs):
        left = rng.integers(0, 256, (*SIZE, 3))
        other = (
            left + rng.normal(0, 60, left.shape) if pair % 2 else rng.integers(0, 256, left.shape)
        )
        for side in (left, other):
            side = np.clip(side, 0, 255).astype(np.uint8)
            images.append(cv2.imencode(".png", side)[1].tobytes())
        identities += [f"p{pair % 7}", f"p{pair % 7}" if pair % 2 else f"p{pair % 7 + 1}"]
    flags = np.arange(num_pairs) % 2 == 1
    write_pair_set(path, PairSet(images, flags, identities if names else ()))


@pytest.fixture
def folder(tmp_path, monkeypatch, save_network):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 10):
        save_network(tmp_path / "net", number, seed=number)
    save_pack(tmp_path / "lfw.bin")
    return tmp_path


def figures(text, what):
    return [float(value) for value in re.findall(rf"\[lfw\]{what}: ([\d.]+)", text)]


def test_published_lines(folder, capsys):
    assert main(["--model", "net,1|2", "--target", "lfw,cfp_fp", "--gpu", "-1"]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"^\[lfw\]XNorm: \d+\.\d{6}$", out, re.M)) == 2
    assert len(re.findall(r"^\[lfw\]Accuracy: 0\.\d{5}\+-0\.\d{5}$", out, re.M)) == 2
    flips = re.findall(r"^\[lfw\]Accuracy-Flip: (0\.\d{5})\+-0\.\d{5}$", out, re.M)
    assert re.findall(r"^Max of \[lfw\] is (0\.\d{5})$", out, re.M) == [max(flips)]
    assert min(figures(out, "FlipL2")) > 0.8
    assert figures(out, "FlipL2") == [float(flip) for flip in flips]
    assert figures(out, "UnFlipL2") == figures(out, "Accuracy")
    assert "TAR@FAR=1e-02: needs 100 impostor pairs, there are 30" in out


def test_absent_targets_are_named(folder, capsys, caplog):
    assert main(["--model", "net,1", "--target", "lfw,cfp_fp", "--gpu", "-1"]) == 0
    assert "cfp_fp is left out: no file" in caplog.text
    assert main(["--model", "net,1", "--target", "agedb_30"]) == 2
    assert "none is in" in capsys.readouterr().err


def test_a_bare_prefix_means_all_newest_first(folder):
    assert list_models(["net"]) == ["net,10", "net,2", "net,1"]
    assert list_models(["net"], "0,2") == ["net,10", "net,2"]
    assert list_models(["a/b,3|4", "x.onnx"]) == ["a/b,3", "a/b,4", "x.onnx"]
    with pytest.raises(FileNotFoundError, match="--model nothing: no checkpoint"):
        list_models(["nothing"])
    with pytest.raises(ValueError, match="--max '1': give two numbers"):
        list_models(["net"], "1")
    with pytest.raises(ValueError, match="leaves no checkpoint"):
        list_models(["net"], "5,9")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "net,7"], "numbers there: 1, 2, 10"),
        (["--model", "net,1", "--nfolds", "100"], "60 pair.s. cannot be cut into 100"),
        (["--model", "net,1|2", "--mode", "2"], "--mode 2 writes one file"),
    ],
)
def test_mistakes_end_in_one_line(folder, capsys, arguments, message):
    assert main([*arguments, "--target", "lfw", "--gpu", "-1"]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, err[-1])


def test_wrong_pairs_are_drawn(folder, capsys):
    assert main(["--model", "net,1", "--target", "lfw", "--gpu", "-1", "--mode", "1"]) == 0
    out = capsys.readouterr().out
    accepts, rejects = map(
        int, re.search(r"(\d+) false accepts, (\d+) false rejects", out).groups()
    )
    assert accepts + rejects == round(60 * (1 - figures(out, "FlipL2")[0])) > 0
    drawn = {path.name: cv2.imread(str(path)).shape for path in Path("badcases").iterdir()}
    expected = {}
    for count, name in (
        (accepts, "negative(false_positive)"),
        (rejects, "positive(false_negative)"),
    ):
        if count:
            expected[f"lfw_{name}.png"] = (112 * -(-count // 4), 4 * 224, 3)
    assert drawn == expected


def test_embeddings_are_dumped(folder, capsys):
    assert main(["--model", "net,1", "--target", "lfw", "--gpu", "-1", "--mode", "2"]) == 0
    vectors, flags = pickle.loads(Path("temp.bin").read_bytes())
    assert vectors.shape == (120, 16)
    assert flags == [pair % 2 == 1 for pair in range(60)]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_names_give_a_bootstrap_and_tell_of_shared_folds(folder, capsys):
    save_pack(folder / "lfw.bin", num_pairs=80, names=True)
    assert (
        main(["--model", "net,1", "--target", "lfw", "--gpu", "-1", "--flip-mode", "concat"]) == 0
    )
    out = capsys.readouterr().out
    assert re.search(r"TAR@FAR=1e-01: [01]\.\d+ .*people resampled", out)
    assert "8 identities occur in more than one fold" in out


def test_report_json_and_components(folder, capsys):
    more = ["--report", "out.html", "--json", "out.json", "--pca", "4"]
    assert main(["--model", "net,1|2", "--target", "lfw", "--gpu", "-1", *more]) == 0
    components = figures(capsys.readouterr().out, "FlipL2, 4 components")
    assert len(components) == 2
    assert min(components) > 0.5
    first, second = json.loads(Path("out.json").read_text())
    assert (first["model"], second["model"]) == ("net,1", "net,2")
    assert first["model_sha256"] == model_fingerprint("net,1") != second["model_sha256"]
    assert (first["engine"], first["dtype"], first["flip"]) == ("onnxruntime", "float32", "sum")
    assert first["model_sha256"] in Path("out.html").read_text()


@pytest.mark.skipif(
    not (MODELS / "sface.onnx").is_file(),
    reason="the pretrained network is absent: arcface-fetch fetch sface",
)
def test_real_faces_score_as_in_opencv(shared_data):
    """OpenCV runs the same weights with its own engine: cosines of real pairs agree."""
    pair_set = read_pair_set(shared_data / "lfw/lfw_folds_1_2.bin")
    opencv = cv2.FaceRecognizerSF.create(str(MODELS / "sface.onnx"), "")
    faces = list(islice(pair_set.decoded(), 580, 620))
    theirs = np.concatenate(
        [opencv.feature(cv2.cvtColor(face, cv2.COLOR_RGB2BGR)) for face in faces]
    )
    network = Embedder(f"{MODELS / 'sface-m1'},0", mx.cpu(), batch_size=20)
    ours, _ = network.plain_and_flipped(faces, flip=False)
    cosines = [cosines_of(unit_distances(x[0::2], x[1::2])) for x in (ours, theirs)]
    assert np.ptp(cosines[1]) > 0.5  # 10 genuine, 10 impostor pairs
    np.testing.assert_allclose(cosines[0], cosines[1], atol=1e-3)


def test_onnxruntime_gives_the_same_figures(folder, capsys):
    pytest.importorskip("onnxruntime")
    outputs = []
    for engine in ("mxnet", "onnxruntime"):
        run = ["--model", "net,1", "--target", "lfw", "--gpu", "-1", "--engine", engine]
        assert main(run) == 0
        outputs.append(capsys.readouterr().out)
    assert figures(outputs[0], "FlipL2") == figures(outputs[1], "FlipL2")
    assert figures(outputs[0], "XNorm") == pytest.approx(figures(outputs[1], "XNorm"), rel=1e-5)


def test_a_truncated_checkpoint_is_refused(folder, capsys):
    path = Path("net-0002.params")
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["--model", "net,2", "--target", "lfw", "--gpu", "-1"]) == 2
    assert "net-0002.params" in capsys.readouterr().err

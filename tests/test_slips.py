"""Slips on the command lines of commands: a line of words before the work, and nothing lost."""

from importlib import import_module

import cv2
import numpy as np
import pytest

from tests.conftest import small_image

MAINS = {
    "clean": "clean.command",
    "compare": "eval.compare",
    "degrade": "batches.degrade",
    "align": "align.align_faces",
    "embed": "embedding.embed",
    "export": "export.torch_command",
    "face2rec": "data.face2rec2",
    "folder-lists": "megaface.folder_lists",
    "onnx": "export.to_onnx",
    "pack-pairs": "eval.pack_pairs",
    "quantize": "export.quantize",
    "rec": "data.rec",
    "remove-noises": "megaface.remove_noises",
    "serve": "serve.command",
    "synthetic": "megaface.synthetic",
    "verify": "eval.verification",
    "ytf": "eval.ytf",
}
ONNX = ("export", "onnx", "quantize")


def told(capsys, line):
    """Run a command line, which must be refused, and return the last line that it tells."""
    command, *words = line
    if command in ONNX:
        pytest.importorskip("onnx")
    main = import_module(f"arcface_mxnet.{MAINS[command]}").main
    try:
        code = main(words)
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert "nobody foresaw" not in err
    return err.strip().splitlines()[-1]


@pytest.fixture
def here(tmp_path, monkeypatch, make_dataset):
    """Work in a folder with a dataset, crops, a pair set, its vectors and scores."""
    from arcface_mxnet.eval.pack_pairs import main

    monkeypatch.chdir(tmp_path)
    make_dataset(tmp_path / "set", [0, 0, 1, 1])
    for person in ("ann", "bob"):
        (tmp_path / "crops" / person).mkdir(parents=True)
        for number in range(3):
            image = small_image(number, len(person) + ord(person[0]))
            cv2.imwrite(f"crops/{person}/{number}.png", image)
    assert (
        main(["folder", "--data-dir", "crops", "--image-size", "16,16", "--output", "p.bin"]) == 0
    )
    count = 2 * 12
    np.save("v.npy", np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32))
    np.savetxt("s.txt", np.arange(count // 2))
    return tmp_path


VERIFY = ["verify", "--target", "p", "--nfolds", "2"]
VECTORS, SCORES = [*VERIFY, "--model", "v.npy"], [*VERIFY, "--scores", "s.txt@higher"]
FOLDER = ["pack-pairs", "folder", "--data-dir", "crops", "--image-size", "16,16"]
LIST = ["pack-pairs", "list", "--data-dir", "crops", "--output", "l.bin"]
MEGAFACE = ["remove-noises", "--algo", "a"]


@pytest.mark.parametrize(
    "line",
    [
        ["rec", "sample", "set", "new", "--count", "1"],
        ["rec", "split", "set", "a", "b", "--count", "1"],
        ["rec", "shuffle", "set", "new"],
        ["rec", "card", "set"],
        ["clean", "plan", "set", "work", "--model", "v.npy"],
        [*FOLDER, "--output", "new.bin"],
        VECTORS,
        ["compare", "a.json"],
        MEGAFACE,
        ["synthetic", "new"],
        ["folder-lists", "crops", "lists"],
        ["degrade", "crops", "new", "--blur", "1"],
    ],
    ids=lambda line: " ".join(line[:2]),
)
def test_a_seed_below_0(here, capsys, line):
    assert "seed" in told(capsys, [*line, "--seed", "-1"])
    assert "-1" in told(capsys, [*line, "--seed=-1"])


@pytest.mark.parametrize(
    "line, words",
    [
        (["rec", "check", "set", "--sample", "-1"], "--sample: '-1': give a whole number from 0"),
        (["rec", "copy", "set", "new", "--identities", "\u0663"], "give numbers and ranges"),
        (["rec", "copy", "set", "new", "--images-filter", "-1"], "give a whole number from 0"),
        ([*FOLDER, "--output", "n.bin", "--disjoint-folds", "-1"], "give a whole number from 0"),
        ([*FOLDER, "--output", "n.bin", "--fit", "pad", "--quality", "0"], "from 1 to 100"),
        (["face2rec", "new", "--folder", "crops", "--quality", "101"], "from 1 to 100"),
        (["face2rec", "new", "--folder", "crops", "--encoding", ".png", "--quality", "50"],
         "--quality 50: PNG compression is 1 to 9"),
        ([*VECTORS, "--pca", "-1"], "give a whole number from 0"),
        (["ytf", "--data-dir", "y", "--model", "v.npy", "--frames", "-1"], "whole number from 0"),
        (["synthetic", "new", "--spread", "nan"], "give a number from 0"),
        (["degrade", "crops", "s.png", "--blur", "1", "--sheet", "99999"], "must be at most 64"),
        (["align", "crops", "new", "--gpu", "-7"], "--gpu: '-7': give a whole number from -1"),
        (["compare", "a.json", "--replicates", "9999999"], "at most 1000000"),
    ],
)  # fmt: skip
def test_numbers_out_of_range(here, capsys, line, words):
    assert words in told(capsys, line)


@pytest.mark.parametrize(
    "line",
    [
        ["rec", "copy", "set", ""],
        ["rec", "copy", "", "new"],
        ["clean", "plan", "set", "", "--model", "v.npy"],
        ["face2rec", "", "--folder", "crops"],
        ["degrade", "crops", "", "--blur", "1"],
        [*FOLDER, "--output", ""],
        [*VECTORS, "--json", ""],
        [*VECTORS, "--report", ""],
        ["onnx", "--model", "a,1", "--output", ""],
        ["align", "crops", ""],
        ["serve", "--token-file", ""],  # would be a service that anybody may ask
        ["serve", "backup", ""],
        ["embed", "", "n.npy", "--model", "a,1"],
    ],
)
def test_the_name_that_an_unset_variable_leaves(here, capsys, line):
    assert told(capsys, line).endswith("the name is empty")


@pytest.mark.parametrize(
    "line",
    [
        [*VECTORS, "--json", "p.bin"],
        [*VECTORS, "--report", "v.npy"],
        [*VECTORS, "--card", "s.txt"],
        ["quantize", "--model", "a,1", "--calibration", "crops", "--output", "a-0001.params"],
        ["onnx", "--model", "a,1", "--output", "a-symbol.json"],
        ["export", "--model", "a,1", "--torch", "a-0001.params"],
        [*LIST[:-1], "crops/ann/0.png"],
    ],
    ids=lambda line: " ".join(line[-2:]),
)
def test_a_result_of_another_kind_over_what_is_read(here, capsys, line):
    assert f"'{line[-1]}': give a name in ." in told(capsys, line)


@pytest.mark.parametrize(
    "line, words",
    [
        ([*VECTORS, "--json", "r.json", "--card", "r.json"], "--card r.json: is --json too"),
        (["quantize", "--model", "a.onnx", "--calibration", "crops", "--output", "./a.onnx"],
         "is what is read"),
        (["degrade", "crops", "crops/new", "--blur", "1"], "lies among the crops that are read"),
        (["degrade", "crops", "crops/ann/0.png", "--blur", "1", "--sheet", "1"], "lies among"),
        (["rec", "card", "set", "--out", "v.npy"], "a part of this path is a file"),
        ([*VECTORS, "--report", "v.npy/r.html"], "a part of this path is a file"),
    ],
)  # fmt: skip
def test_a_result_that_would_destroy_or_cannot_be(here, capsys, line, words):
    assert words in told(capsys, line)


@pytest.mark.parametrize(
    "line, option",
    [
        ([*VECTORS, "--mode", "2", "--report", "r.html"], "--report"),
        ([*SCORES, "--pca", "3"], "--pca"),
        ([*SCORES, "--flip-mode", "concat"], "--flip-mode"),
        ([*LIST, "--num-genuine", "3"], "--num-genuine"),
        ([*LIST, "--identities", "ann"], "--identities"),
        ([*LIST, "--quality", "50"], "--quality"),
        ([*LIST, "--detector", "yunet"], "--detector"),
        ([*FOLDER, "--output", "n.bin", "--pairs", "p.txt"], "--pairs"),
        (["face2rec", "new", "--folder", "crops", "--relabel"], "--relabel"),
        (["degrade", "crops", "new", "--blur", "1", "--side", "first"], "--side"),
        (["degrade", "crops", "new", "--blur", "1", "--quality", "50"], "--quality"),
        (["degrade", "crops", "new", "--blur", "1", "--rows", "2"], "--rows"),
        (["embed", "crops", "n.npy", "--model", "a,1", "--max-yaw", "3"], "--max-yaw"),
        (["embed", "crops", "n.npy", "--model", "a,1", "--uncertain", "refuse"], "--uncertain"),
        (["align", "crops", "new", "--root", "set"], "--root"),
        (["ytf", "--data-dir", "y", "--scores", "s.txt@lower", "--distance", "least"],
         "--distance"),
        (["quantize", "--model", "a,1", "--calibration", "crops", "--nfolds", "3"], "--nfolds"),
    ],
)  # fmt: skip
def test_an_option_that_would_do_nothing(here, capsys, line, option):
    assert f"{option}: " in (found := told(capsys, line)) and "does not use it" in found

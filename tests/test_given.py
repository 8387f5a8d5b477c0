"""What a command line gives, judged before any work begins."""

import argparse
import os

from arcface_mxnet.given import (
    check_counts,
    check_outputs,
    file_name,
    path_name,
    real,
    refuse_changed,
    whole,
)
import pytest

DIGIT_OF_ANOTHER_SCRIPT = "\u0663"


@pytest.mark.parametrize(
    "kind, text, value",
    [
        (whole(), "0", 0),
        (whole(), " 7 ", 7),
        (whole(-1, 2), "-1", -1),
        (real(0, 1), "1", 1.0),
        (real(-1), "1e3", 1000.0),
        (file_name(), "a b", "a b"),
        (file_name(".json"), "x/A.JSON", "x/A.JSON"),
    ],
)
def test_what_is_taken(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    "kind, texts, words",
    [
        (whole(), ["-1", "", "x", "1.0", "1_0", "nan", DIGIT_OF_ANOTHER_SCRIPT, "9" * 40],
         "give a whole number from 0$"),
        (whole(1, 9), ["0", "10"], "give a whole number from 1 to 9"),
        (real(0, 1), ["nan", "inf", "-inf", "-0.1", "1.1", "1e308", "", "x"],
         "give a number from 0 to 1"),
        (real(0), ["-1", "inf"], "give a number from 0$"),
        (file_name(), [""], "the name is empty"),
        (path_name, [""], "the name is empty"),
        (file_name(".json", ".htm"), ["lfw.bin", "json", "a.json/"[:-6]], "give a name in .json, "),
    ],
)  # fmt: skip
def test_what_is_refused(kind, texts, words):
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=words):
            kind(text)


@pytest.mark.parametrize("given, words", [
    ({"threads": 0, "of": 1}, "^--threads 0: must be at least 1$"),
    ({"threads": 4, "of": 10**9}, "^--of 1000000000: must be at most 9$"),
])  # fmt: skip
def test_counts_have_both_ends(given, words):
    with pytest.raises(ValueError, match=words):
        check_counts(argparse.Namespace(**given), threads=4, of=9)
    check_counts(argparse.Namespace(threads=4, of=1), threads=4, of=9)


def test_the_option_is_named(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=whole(), default=3)
    assert parser.parse_args([]).seed == 3
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--seed", "-1"])
    assert "argument --seed: '-1': give a whole number from 0\n" in capsys.readouterr().err


def test_options_that_would_do_nothing():
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-folds", type=int, default=10)
    parser.add_argument("--pca", type=int, default=0)
    given = parser.parse_args(["--num-folds", "5", "--pca", "3"])
    with pytest.raises(ValueError, match="^--num-folds, --pca: what writes does not use it; leave"):
        refuse_changed(parser, given, ("num_folds", "pca"), "what writes")
    refuse_changed(parser, parser.parse_args([]), ("num_folds", "pca"), "what writes")


def test_results_that_can_be_written_are_let_through(tmp_path):
    (tmp_path / "old").touch()
    outputs = {
        "--a": tmp_path / "old",
        "--b": tmp_path / "new" / "deep" / "b",
        "--c": None,
        "-d": "",
    }
    check_outputs(outputs, [tmp_path / "read", None])
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_results_that_would_destroy_something(tmp_path):
    (tmp_path / "read").touch()
    (tmp_path / "link").symlink_to("read")
    for name in ("read", "link", "x/../read"):
        with pytest.raises(ValueError, match=f"^--out .*{name}: is what is read"):
            check_outputs({"--out": tmp_path / name}, [tmp_path / "read"])
    with pytest.raises(ValueError, match="^--b .*read: is --a too"):
        check_outputs({"--a": tmp_path / "link", "--b": tmp_path / "read"})


def test_results_that_cannot_be_written_are_told_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    for name, error in (
        ("", IsADirectoryError),
        ("file/x", NotADirectoryError),
        ("file/deep/x", NotADirectoryError),
    ):
        with pytest.raises(error):
            check_outputs({"--out": tmp_path / name})
    with pytest.raises(ValueError, match="is a device"):
        check_outputs({"--out": "/dev/null"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_must_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        check_outputs({"--out": tmp_path / "x"})

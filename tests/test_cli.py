"""How scripts end, and the size of crops on the command line."""

import argparse
import errno
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile

from arcface_mxnet.cli import add_image_size_argument, parse_size, run
import pytest

from tests.test_without_mxnet import HIDE


@pytest.mark.parametrize("text, size", [("112,96", (112, 96)), (" 7, 1", (7, 1))])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "112", "112x112", "a,b", "0,112", "112,-1", "112,96,", "1.5,2", "3,112,112", "1,112,112"],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="^--image-size .*: give HEIGHT,WIDTH in pixels"):
        parse_size(text)


def test_channels_where_published():
    assert parse_size("3,112,96", channels=True) == parse_size("112,96", channels=True)
    for text in ("1,112,96", "112", "3,112,0", "3,3,112,96"):
        with pytest.raises(ValueError, match="give 3,HEIGHT,WIDTH or HEIGHT,WIDTH"):
            parse_size(text, channels=True)


def test_both_spellings_and_the_default():
    parser = argparse.ArgumentParser()
    add_image_size_argument(parser)
    given = [["--image-size", "8,9"], ["--image_size", "8,9"], []]
    sizes = [parser.parse_args(arguments).image_size for arguments in given]
    assert sizes == ["8,9", "8,9", "112,112"]


def test_a_default_that_lies_elsewhere(capsys):
    parser = argparse.ArgumentParser()
    add_image_size_argument(parser, default=None, otherwise="as property says")
    assert parser.parse_args([]).image_size is None
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "in pixels (default: as property says)" in capsys.readouterr().out


def raising(error):
    def work():
        raise error

    return work


def test_exit_codes(capsys):
    assert [run(lambda: None), run(lambda: 1)] == [0, 1]
    assert run(raising(ValueError("a wrong value"))) == 2
    assert run(raising(FileNotFoundError("no file x"))) == 2
    assert capsys.readouterr().err == "error: a wrong value\nerror: no file x\n"
    assert run(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"
    with pytest.raises(SystemExit, match="7"):
        run(raising(SystemExit(7)))


def test_what_the_system_refuses_is_said_in_words(tmp_path, capsys):
    cases = {
        lambda: (tmp_path / "none").open(): f"{tmp_path}/none: there is no such file or folder",
        lambda: tmp_path.open(): f"{tmp_path}: it is a folder where a file is expected",
        raising(OSError(errno.ENOSPC, "No space left on device", "a.rec")):
            "a.rec: no space is left on the disk; free some, or choose another place, and run "
            "again",
        raising(OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b")): None,
        raising(BrokenPipeError(errno.EPIPE, "Broken pipe")): "what reads the output has closed it",
    }  # fmt: skip
    for work, words in cases.items():
        assert run(work) == 2
        shown = capsys.readouterr().err
        assert shown == f"error: {words}\n" if words else "a to b: Invalid cross-dev" in shown


# What is said of it, in one line, besides the log's name; the code.
UNFORESEEN = {
    "KeyError": (lambda: {}["ours"], "KeyError: 'ours'; nobody foresaw this", 3),
    "mxnet": (raising(RuntimeError("Traceback (most recent call last):\n  File x\nError: why")),
              "RuntimeError: Error: why; nobody", 3),
    "memory": (raising(MemoryError()), "the memory does not suffice; give less", 3),
    "library": (lambda: int("x"), "ValueError: invalid literal for int() with base 10: 'x'", 2),
    "json": (lambda: json.loads(""), "JSONDecodeError: Expecting value: line 1 column 1 (ch", 2),
    "bytes": (lambda: b"\xe9".decode(), "UnicodeDecodeError: 'utf-8' codec can't decode", 2),
    "number": (lambda: int(float("nan")), "ValueError: cannot convert float NaN to integer", 2),
    "nameless": (raising(OSError(errno.ENOSPC, "No space left on device")),
                 "no space is left on the disk; free some, or choose another place, and run", 2),
    "long": (raising(RuntimeError("x" * 10_000)), "RuntimeError: " + "x" * 297 + "...;", 3),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFORESEEN)
def test_what_nobody_foresaw_is_one_line_and_a_log(name, tmp_path, capsys, monkeypatch):
    work, words, code = UNFORESEEN[name]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(work) == code
    (line,) = capsys.readouterr().err.splitlines()
    (log,) = tmp_path.iterdir()
    assert line.startswith(f"error: {words}") and line.endswith(f"in {log}, please report it")
    assert "nobody foresaw this (in test_cli.py, line " in line
    assert "Traceback (most recent call last)" in log.read_text()


def test_the_last_line_comes_even_where_nothing_can_be_written(tmp_path, capsys, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "fdopen", refuse)  # the log's file can be made, but not written
    assert run(lambda: {}["ours"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("; no log of it could be written: no space is left on the disk; free "
                         "some, or choose another place, and run again")  # fmt: skip
    assert not list(tmp_path.iterdir())


PRINTING = """
import sys
from arcface_mxnet.cli import run
sys.exit(run(lambda: print(*sys.argv[1:])))
"""


def start(script, *arguments, **options):
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, timeout=300, **options)


@pytest.mark.parametrize("encoding, shown", [("utf-8", "Zoë"), ("ascii", "Zo\\xeb")])
def test_any_name_is_printed(encoding, shown):
    done = start(PRINTING, b"Zo\xeb.jpg", "Zoë", env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"Zo\xeb.jpg " + shown.encode() + b"\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_the_output():
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-c", PRINTING, "x"], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=300)  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: no space is left on the disk; free some")


ALL_SCRIPTS = """
import importlib, re, sys
from pathlib import Path
for entry in re.findall(r'= (arcface_mxnet[.\\w]+):main', Path(sys.argv[1]).read_text()):
    try:
        importlib.import_module(entry)
    except ModuleNotFoundError as error:
        print(entry, error)
print("done")
"""


def test_every_command_starts_without_mxnet_and_says_what_is_missing():
    root = Path(__file__).parents[1]
    done = start(HIDE + ALL_SCRIPTS, str(root / "setup.py"))
    assert done.stdout == b"done\n", done.stdout + done.stderr
    commands = {
        "train_softmax": ["--data-dir", "nowhere", "--prefix", "p", "--engine", "mxnet"],
        "networks.__main__": ["y1"],
    }
    for name, arguments in commands.items():
        script = f"import runpy; runpy.run_module('arcface_mxnet.{name}', run_name='__main__')"
        done = start(HIDE + script, *arguments)
        assert done.returncode == 2, done.stderr
        # Where MXNet cannot be installed the line goes on to say so.
        assert done.stderr.startswith(
            b"error: this command needs mxnet, which is not installed: pip install "
            b"'arcface_mxnet[cpu]', or [cu112] for its CUDA build"
        )
        assert done.stderr.count(b"\n") == 1


def test_a_message_does_not_grow_with_a_name_in_a_file(capsys):
    def refuse():
        raise ValueError("list line 1: no file " + "[" * 200_000 + "\nlist line 2: no file x")

    assert run(refuse) == 2
    said = capsys.readouterr().err
    assert len(said) < 5000 and "(200021 characters)\nlist line 2: no file x" in said


ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command, words",
    [
        (["arcface-x"], "interrupted\n"),
        (["-m", "arcface_mxnet.train_softmax"], "interrupted\n"),
        ([ROOT / "deploy" / "test.py"], "interrupted\n"),
        ([ROOT / "src" / "train_softmax.py"], "interrupted\n"),
        (["other"], "Traceback"),
        (["-m", "of_others"], "Traceback"),
        (["-c", "import arcface_mxnet"], "Traceback"),
    ],
)
def test_ctrl_c_while_a_command_imports(tmp_path, command, words):
    for name in ("arcface-x", "other", "of_others.py"):
        (tmp_path / name).write_text("import arcface_mxnet\n")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts())\n"
    )
    places = os.pathsep.join([str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": places},
    )  # fmt: skip
    assert done.returncode == -signal.SIGINT
    assert done.stderr.startswith(words) and (words == "Traceback" or done.stderr == words)

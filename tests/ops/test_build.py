"""The builder and the loader where something is wrong: they say it and go on without."""

import _ctypes
import ctypes
import dataclasses
import logging
import os
from pathlib import Path
import signal
import stat
import subprocess
import sys
import time

import arcface_mxnet  # noqa: F401
from arcface_mxnet import compiler as builder
from arcface_mxnet.ops import build, library
import mxnet as mx
import pytest

LOADABLE = _ctypes.__file__
# Without MXNet, so that a process is soon there: cached(COMPILED ONCE THERE).
CODE = """
import logging, sys; logging.basicConfig(level=logging.INFO, format="%(message)s")
from pathlib import Path
from arcface_mxnet.compiler import LibraryRecipe, cached_library, is_whole
assert is_whole(cached_library(LibraryRecipe("x", (), trial="ctypes:CDLL"), Path(sys.argv[1])))
"""


def write_compiler(path: Path, body: str) -> str:
    """Write a shell script in the place of a compiler; $LIBRARY is what it shall make."""
    path.write_text(f'#!/bin/sh\nfor last; do :; done\nLIBRARY="$last"\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that makes a library at once, and notes each run in runs.txt.

    What body.sh holds is done before.  Temporary folders lie in tmp/.
    """
    runs, before = tmp_path / "runs.txt", tmp_path / "body.sh"
    before.touch()
    body = (
        f'case "$*" in *--version*) echo 1; exit;; esac; echo run >> {runs}; . {before}; '
        f'cp {LOADABLE} "$LIBRARY"'
    )
    path = write_compiler(tmp_path / "fake-c++", body)
    monkeypatch.setenv("CXX", path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(builder.tempfile, "tempdir", str(tmp_path / "tmp"))
    return runs


def runs(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def cached(cache: Path, trial: str = "ctypes:CDLL") -> Path:
    """Return the library of our operators' recipe, tried otherwise: it is not of our operators."""
    return builder.cached_library(dataclasses.replace(build.recipe(), trial=trial), cache)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_compiled_once_and_kept(compiler, tmp_path):
    first = cached(tmp_path / "cache")
    assert first.parent == tmp_path / "cache"
    assert cached(tmp_path / "cache") == first
    assert runs(compiler) == 1
    assert names_in(tmp_path / "cache") == [first.name]
    assert names_in(tmp_path / "tmp") == []


def test_key_depends_on_everything_that_decides_the_bytes(compiler, tmp_path, monkeypatch):
    def name():
        return cached(tmp_path / "cache").name

    names = {name()}
    monkeypatch.setattr(builder, "_processor", lambda: "another processor")
    names.add(name())
    monkeypatch.setattr(mx, "__version__", "1.9.2")
    names.add(name())
    monkeypatch.setattr(builder, "FLAGS", (*builder.FLAGS, "-g"))
    names.add(name())
    monkeypatch.setattr(builder.platform, "libc_ver", lambda: ("glibc", "1.0"))
    names.add(name())
    source = tmp_path / "other.cc"
    source.write_text("// other\n")
    monkeypatch.setattr(build, "SOURCES", (source,))
    names.add(name())
    assert len(names) == 6


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_library_is_compiled_again(compiler, tmp_path, damage):
    path = cached(tmp_path / "cache")
    whole = path.read_bytes()
    flipped = bytes([whole[0] ^ 1]) + whole[1:]
    path.write_bytes(flipped if damage is None else damage)
    assert cached(tmp_path / "cache") == path
    assert path.read_bytes() == whole
    assert runs(compiler) == 2


def test_cache_that_cannot_be_written(compiler, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    path = cached(tmp_path / "file" / "cache")
    assert builder.is_whole(path)
    assert path.is_relative_to(tmp_path / "tmp")
    assert "cannot be kept for the next time" in caplog.text


def start(tmp_path):
    command = [sys.executable, "-c", CODE, str(tmp_path / "cache")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_of_several_cold_starts_one_compiles_and_the_others_say_that_they_wait(compiler, tmp_path):
    (tmp_path / "body.sh").write_text("sleep 1")
    started = [start(tmp_path) for _ in range(3)]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert runs(compiler) == 1
    assert sum("compiling the x for this processor" in text for text in said) == 1
    assert sum("another process compiles the x; waiting for it" in text for text in said) >= 1
    assert len(names_in(tmp_path / "cache")) == 1


def test_a_process_that_waits_too_long_goes_on_without(compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "PATIENCE", 0.1)
    path = cached(tmp_path / "cache")
    path.unlink()
    with (
        builder.locked(path.with_suffix(".lock"), 0),
        pytest.raises(builder.BuildError, match="another process does not come to an end"),
    ):
        cached(tmp_path / "cache")
    assert cached(tmp_path / "cache") == path


def test_a_killed_compile_leaves_nothing_to_the_next(compiler, tmp_path):
    pid = tmp_path / "pid"
    (tmp_path / "body.sh").write_text(f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60")
    with start(tmp_path) as process:
        while not pid.exists():
            time.sleep(0.01)
        process.kill()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    assert len(names_in(tmp_path / "tmp")) == 1
    (tmp_path / "body.sh").write_text("")
    with start(tmp_path) as process:
        assert process.wait() == 0
    assert names_in(tmp_path / "tmp") == []
    assert len(names_in(tmp_path / "cache")) == 1
    assert runs(compiler) == 2


def test_a_compile_under_way_keeps_its_folder(compiler, tmp_path):
    folder, descriptor = builder._make_workshop()
    cached(tmp_path / "cache")
    assert names_in(tmp_path / "tmp") == [folder.name]
    builder._remove_workshop(folder, descriptor)
    assert names_in(tmp_path / "tmp") == []


@pytest.mark.parametrize(
    ("body", "trial", "message"),
    [
        ('echo lib > "$LIBRARY"; exit', "ctypes:CDLL", "is of no use: OSError: .*file too short"),
        ("", "os:abort_", "is of no use: AttributeError: module 'os' has no attribute"),
        ("", "fatal:load", "ends its process with signal 11"),
    ],
)
def test_a_library_that_is_of_no_use_is_not_kept(
    compiler, tmp_path, monkeypatch, body, trial, message
):
    fatal = "import os\ndef load(path): os.kill(os.getpid(), 11)\n"
    (tmp_path / "fatal.py").write_text(fatal)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "body.sh").write_text(body)
    with pytest.raises(builder.BuildError, match=message):
        cached(tmp_path / "cache", trial)
    assert names_in(tmp_path / "cache") == names_in(tmp_path / "tmp") == []


def test_a_kept_library_that_does_not_load_is_compiled_again_once(compiler, tmp_path, caplog):
    recipe = builder.LibraryRecipe("x", ())
    (tmp_path / "body.sh").write_text('echo lib > "$LIBRARY"; exit')
    path = builder.cached_library(recipe, tmp_path)  # not tried
    with pytest.raises(OSError, match="file too short"):
        builder.load_cached(recipe, ctypes.CDLL, tmp_path)
    assert runs(compiler) == 2
    (tmp_path / "body.sh").write_text("")
    assert builder.load_cached(recipe, ctypes.CDLL, tmp_path)._name == path
    assert runs(compiler) == 3
    assert builder.load_cached(recipe, ctypes.CDLL, tmp_path)._name == path
    assert runs(compiler) == 3
    assert "the kept x does not load and is compiled again: " in caplog.text


def test_a_new_library_that_does_not_load_is_not_compiled_twice(compiler, tmp_path):
    (tmp_path / "body.sh").write_text('echo lib > "$LIBRARY"; exit')
    with pytest.raises(OSError, match="file too short"):
        builder.load_cached(builder.LibraryRecipe("x", ()), ctypes.CDLL, tmp_path)
    assert runs(compiler) == 1


def test_no_compiler(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(builder.BuildError, match="no C\\+\\+ compiler found"):
        cached(tmp_path)


def test_broken_compiler(compiler, tmp_path):
    (tmp_path / "body.sh").write_text('echo "x.cc:1: error: no stdint.h" >&2; exit 3')
    with pytest.raises(builder.BuildError, match="failed with code 3: x.cc:1: error: no stdint.h"):
        cached(tmp_path / "cache")
    assert names_in(tmp_path / "cache") == names_in(tmp_path / "tmp") == []


def test_compiler_that_makes_nothing(compiler, tmp_path):
    (tmp_path / "body.sh").write_text("exit 0")
    with pytest.raises(builder.BuildError, match="left no library"):
        cached(tmp_path / "cache")


def test_mxnet_without_the_interface(compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(mx, "__file__", str(tmp_path / "mxnet" / "__init__.py"))
    with pytest.raises(builder.BuildError, match="has no extension interface"):
        cached(tmp_path / "cache")


def test_loader_says_why_it_goes_on_without(compiler, tmp_path, monkeypatch, caplog):
    """The fake compiler's library is not one of operators: MXNet refuses it and we go on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert library._load.__wrapped__() is False
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    message = record.getMessage()
    assert message.startswith("PReLU on the CPU: as a convolution")
    assert (
        "is of no use: MXNetError: Error getting function" in message and "Traceback" not in message
    )
    assert "\n" not in message


def test_the_reason_of_mxnet_is_what_follows_its_traceback(tmp_path):
    (tmp_path / "x.so").write_bytes(b"lib")
    with pytest.raises(mx.MXNetError) as raised:
        mx.library.load(str(tmp_path / "x.so"), verbose=False)
    assert str(raised.value).startswith("Traceback")
    path = tmp_path / "x.so"
    wanted = f"MXNetError: Error loading library: '{path}'; {path}: file too short"
    assert builder.reason_of(raised.value) == wanted[:300]
    assert builder.reason_of(ValueError("one\ntwo")) == "one"
    assert builder.reason_of(ValueError()) == "it does not say why"


def test_wrong_operator_is_not_trusted(monkeypatch):
    assert library.load_operators()
    monkeypatch.setattr(library, "OPERATOR", "broadcast_add")
    with pytest.raises(builder.BuildError, match="computes .* instead of"):
        library._check()


def test_without_a_compiler_a_graph_is_rewritten_all_the_same(tmp_path):
    """From the start, in a fresh process: no compiler, empty cache."""
    code = """
import logging; logging.basicConfig(level=logging.INFO)
import arcface_mxnet, mxnet as mx
from arcface_mxnet.ops import fast_graph
conv = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=2, kernel=(1, 1), name="conv")
symbol = mx.sym.LeakyReLU(conv, act_type="prelu", name="relu")
shapes = {"data": (1, 3, 4, 4)}
for _ in range(2):
    fast = fast_graph(symbol, mx.cpu(), shapes)
assert "relu_scaled" in fast.tojson() and "LeakyReLU" not in fast.tojson()
try:
    fast_graph(symbol, mx.cpu(), shapes, kind="own")
except RuntimeError as error:
    print(error)
"""
    environment = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "our own operators cannot be had here" in done.stdout
    assert done.stderr.count("PReLU on the CPU") == 1
    assert "no C++ compiler found" in done.stderr

"""The builder and the loader where something is wrong: they say it and go on without."""

import logging
from pathlib import Path
import stat
import subprocess
import sys

import arcface_mxnet  # noqa: F401
from arcface_mxnet import compiler as builder
from arcface_mxnet.ops import build, library
import mxnet as mx
import pytest


def write_compiler(path: Path, body: str) -> str:
    """Write a shell script in the place of a compiler; $LIBRARY is what it shall make."""
    path.write_text(f'#!/bin/sh\nfor last; do :; done\nLIBRARY="$last"\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that makes a file at once, and notes each run in runs.txt."""
    runs = tmp_path / "runs.txt"
    body = (
        f'case "$*" in *--version*) echo 1; exit;; esac; echo run >> {runs}; echo lib > "$LIBRARY"'
    )
    path = write_compiler(tmp_path / "fake-c++", body)
    monkeypatch.setenv("CXX", path)
    return runs


def runs(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_compiled_once_and_kept(compiler, tmp_path):
    first = build.operators_library(tmp_path / "cache")
    assert first.parent == tmp_path / "cache"
    assert build.operators_library(tmp_path / "cache") == first
    assert runs(compiler) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [first.name]


def test_key_depends_on_everything_that_decides_the_bytes(compiler, tmp_path, monkeypatch):
    def name():
        return build.operators_library(tmp_path / "cache").name

    names = {name()}
    monkeypatch.setattr(builder, "_processor", lambda: "another processor")
    names.add(name())
    monkeypatch.setattr(mx, "__version__", "1.9.2")
    names.add(name())
    monkeypatch.setattr(builder, "FLAGS", (*builder.FLAGS, "-g"))
    names.add(name())
    source = tmp_path / "other.cc"
    source.write_text("// other\n")
    monkeypatch.setattr(build, "SOURCES", (source,))
    names.add(name())
    assert len(names) == 5


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_library_is_compiled_again(compiler, tmp_path, damage):
    path = build.operators_library(tmp_path / "cache")
    whole = path.read_bytes()
    flipped = bytes([whole[0] ^ 1]) + whole[1:]
    path.write_bytes(flipped if damage is None else damage)
    assert build.operators_library(tmp_path / "cache") == path
    assert path.read_bytes() == whole
    assert runs(compiler) == 2


def test_cache_that_cannot_be_written(compiler, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    path = build.operators_library(tmp_path / "file" / "cache")
    assert builder.is_whole(path)
    assert tmp_path not in path.parents
    assert "cannot be kept for the next time" in caplog.text


def test_two_processes_at_once(compiler, tmp_path):
    code = (
        "import arcface_mxnet, sys; from pathlib import Path; from arcface_mxnet.ops import build;"
        "from arcface_mxnet import compiler as builder;"
        "path = build.operators_library(Path(sys.argv[1])); assert builder.is_whole(path)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    started = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_no_compiler(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(builder.BuildError, match="no C\\+\\+ compiler found"):
        build.operators_library(tmp_path)


def test_broken_compiler(tmp_path, monkeypatch):
    body = 'case "$*" in *--version*) exit;; esac; echo "x.cc:1: error: no stdint.h" >&2; exit 3'
    monkeypatch.setenv("CXX", write_compiler(tmp_path / "bad-c++", body))
    with pytest.raises(builder.BuildError, match="failed with code 3: x.cc:1: error: no stdint.h"):
        build.operators_library(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_compiler_that_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", write_compiler(tmp_path / "idle-c++", "exit 0"))
    with pytest.raises(builder.BuildError, match="left no library"):
        build.operators_library(tmp_path / "cache")


def test_mxnet_without_the_interface(compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(mx, "__file__", str(tmp_path / "mxnet" / "__init__.py"))
    with pytest.raises(builder.BuildError, match="has no extension interface"):
        build.operators_library(tmp_path / "cache")


def test_loader_says_why_it_goes_on_without(compiler, tmp_path, monkeypatch, caplog):
    """The fake compiler's library is no library: MXNet refuses it and we go on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert library._load.__wrapped__() is False
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("PReLU on the CPU: as a convolution")
    assert "\n" not in record.getMessage()


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

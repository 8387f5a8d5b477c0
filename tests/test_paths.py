"""A name from a file stays below its folder, whatever it holds."""

import os
from pathlib import Path

from arcface_mxnet.paths import inside, is_plain
import pytest


@pytest.mark.parametrize("name", ["a.jpg", "a/b.jpg", "./a", "a/../b", "a//b", "..a/b..", "\udcff"])
def test_what_stays_below_is_joined(tmp_path, name):
    assert inside(tmp_path, name) == Path(os.path.normpath(tmp_path / name))


def test_an_absolute_name_below_the_folder_is_taken(tmp_path):
    assert inside(tmp_path, str(tmp_path / "a")) == tmp_path / "a"


def test_folders_relative_to_the_current_one(tmp_path, monkeypatch):
    for folder in (tmp_path / "a" / "b", tmp_path / "c"):
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        assert inside(".", "x") == Path("x")
        assert inside("..", "x") == Path("../x")
        for root, name in ((".", "../x"), ("..", "../x"), ("", "..")):
            with pytest.raises(ValueError, match="leaves"):
                inside(root, name)


@pytest.mark.parametrize(
    "name", ["..", ".", "../x", "a/../../x", "/etc/passwd", "a/../../../etc/passwd", "./../x"]
)
def test_what_leaves_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="^list line 3: the path .* leaves .*; give --root"):
        inside(tmp_path, name, "list line 3", cure="give --root")


def test_a_folder_whose_name_begins_alike_is_another(tmp_path):
    with pytest.raises(ValueError, match="leaves"):
        inside(tmp_path / "ab", "../abc/x")


@pytest.mark.parametrize("name", ["", "/", "a\0b"])
def test_no_name(tmp_path, name):
    with pytest.raises(ValueError, match="^list: .* no name of a file"):
        inside(tmp_path, name, "list")


def test_links_are_followed(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir(), other.mkdir()
    (root / "out").symlink_to(other)
    (root / "in").symlink_to(root)
    (root / "file").symlink_to(other / "x")
    (root / "loop").symlink_to(root / "loop")
    (tmp_path / "link").symlink_to(root)
    for name in ("out/x", "file", "in/out/x"):
        with pytest.raises(ValueError, match="leaves"):
            inside(root, name)
    assert inside(root, "in/x") == root / "in" / "x"
    assert inside(tmp_path / "link", "x") == tmp_path / "link" / "x"
    with pytest.raises(OSError, match="symbolic links"):
        inside(root, "loop/x").read_bytes()


def test_a_link_cannot_turn_two_dots_into_another_folder(tmp_path):
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "up").symlink_to(tmp_path / "root")
    assert inside(tmp_path / "root", "a/up/../x") == tmp_path / "root" / "a" / "x"


def test_plain_names():
    assert is_plain("a/b.png") and is_plain("..a/b..") and is_plain("Zo\udceb.jpg")
    for name in ("", "/a", "../a", "a/..", "a\\b", "a\nb", "a\0b", "\ud800", "a\udceb\n"):
        assert not is_plain(name)

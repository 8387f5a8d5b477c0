"""A folder of results is whole, or is not there."""

from arcface_mxnet.files import replace_file
from arcface_mxnet.new_folder import new_folder
import pytest


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("is_there", [False, True])
def test_it_appears_when_it_is_complete(tmp_path, is_there):
    path = tmp_path / "deep" / "new"
    if is_there:
        path.mkdir(parents=True)
    with new_folder(path) as part:
        (part / "a").mkdir()
        (part / "a" / "1").write_text("x")
        assert path.exists() == is_there and not (is_there and names_in(path))
    assert names_in(tmp_path / "deep") == ["new", "new/a", "new/a/1"]
    assert path.stat().st_mode & 0o777 == (tmp_path / "deep").stat().st_mode & 0o777


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_stays_of_what_fails(tmp_path, error):
    with pytest.raises(error), new_folder(tmp_path / "new") as part:
        (part / "1").write_text("x")
        raise error
    assert not names_in(tmp_path)


def test_what_holds_something_is_left_alone(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("new", "file"):
        with pytest.raises(FileExistsError, match="is there already"), new_folder(tmp_path / name):
            pass
    assert names_in(tmp_path) == ["file", "new", "new/mine"]


def test_the_folder_that_one_stands_in(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with new_folder(".") as part:
        (part / "1").write_text("x")
    assert names_in(tmp_path) == ["here", "here/1"]


def test_what_a_killed_process_left_goes_and_a_living_one_keeps_its_own(tmp_path):
    left = tmp_path / "old.arcface-part-0123456789abcdef"
    (left / "deep").mkdir(parents=True)
    (tmp_path / "theirs.part-2026010112000000").mkdir()
    (left / "deep" / "1").write_text("x")
    with new_folder(tmp_path / "a") as living:
        assert not left.exists()
        with new_folder(tmp_path / "b"), replace_file(tmp_path / "c"):
            assert living.is_dir()
    assert names_in(tmp_path) == ["a", "b", "c", "theirs.part-2026010112000000"]

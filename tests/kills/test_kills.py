"""Sets of files after a kill at every operation: old, new, or refused; and two writers at once."""

from collections import Counter

from arcface_mxnet import files
import pytest

from tests.kills.injection import Failed, killed, stopped
from tests.kills.judging import FAULTS, READS, Rewriting
from tests.kills.kinds import KINDS, NEW, OLD, Kind


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("name", KINDS)
def test_killed_at_every_point(name, tmp_path):
    rewriting = Rewriting(KINDS[name], tmp_path)
    found = Counter()
    for point in range(rewriting.points):
        found.update(rewriting.killed(point))
    assert not {fault: found[fault] for fault in FAULTS if found[fault]}
    assert found.total() == rewriting.points * len(KINDS[name].reads)
    assert found["old"] and found["new"] + found["refused"]


def test_killed_again_while_it_mends_what_a_kill_left(tmp_path):
    rewriting, found = Rewriting(KINDS["pair pack"], tmp_path), Counter()

    def kill_at(first):
        rewriting.renew()
        killed(rewriting.rewrite, first)
        return rewriting.read()

    halfway = [point for point in range(rewriting.points) if kill_at(point) == ["refused"]]
    for first in (halfway[0], halfway[-1]):
        for second in range(rewriting.points):  # more than it may have: then it ends
            kill_at(first)
            try:
                killed(rewriting.rewrite, second)
            except Failed:
                break
            found.update(rewriting.read())
    assert set(found) <= {"refused", "new"} and found["refused"]


def test_the_harness_sees_a_set_that_is_written_file_by_file(tmp_path):
    def write(folder, version):
        for name in "ab":
            with files.replace_file(folder / name, "w") as file:
                file.write(str(version))

    def read(folder):
        return (folder / "a").read_text() + (folder / "b").read_text()

    rewriting = Rewriting(Kind(write, (read,)), tmp_path)
    found = Counter(result for at in range(rewriting.points) for result in rewriting.killed(at))
    assert found["mixed"] and found["old"] and found["new"]
    assert not found["not healed"]


def test_the_harness_sees_a_file_that_is_written_in_place(tmp_path):
    def write(folder, version):
        (folder / "a").write_text(f"{version}" * 2000)

    def read(folder):
        return (folder / "a").read_text()

    rewriting = Rewriting(Kind(write, (read,)), tmp_path)
    found = Counter(result for at in range(rewriting.points) for result in rewriting.killed(at))
    assert found["mixed"] and found["old"]


@pytest.mark.parametrize("name", ["pair pack", "checkpoint", "feature store"])
def test_another_writer_and_a_reader_while_a_writer_stands_at_every_point(
    name, tmp_path, monkeypatch
):
    """Each set is whole or refused, and in the end one of the two is there."""
    monkeypatch.setattr(files, "PATIENCE", 0.03)
    rewriting, kind = Rewriting(KINDS[name], tmp_path), KINDS[name]
    second = OLD if name != "feature store" else NEW  # the list decides which store may go on
    ends = Counter()
    for point in range(rewriting.points):
        rewriting.renew()
        with stopped(rewriting.rewrite, point):
            assert set(rewriting.read()) <= set(READS)
            try:
                kind.write(tmp_path / "scratch", second)
            except (ValueError, OSError) as error:
                assert "another process" in str(error)
            assert set(rewriting.read()) <= set(READS)
        (end,) = rewriting.read()
        ends[end] += 1
    assert set(ends) <= {"old", "new"}
    assert ends["new"]

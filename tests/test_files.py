"""Files and sets of files that appear whole, and what killed writers leave."""

import errno
import json
import os
import subprocess
import sys
import time

from arcface_mxnet import files, locks
from arcface_mxnet.embedding.row_store import RowWriter
from arcface_mxnet.files import (
    marker_path,
    reading_set,
    replace_file,
    replace_path,
    replace_set,
)
from arcface_mxnet.locks import locked, try_lock
import pytest


def write_set(folder, text, names="ab"):
    with replace_set(*(folder / name for name in "ab")) as writer:
        for name in names:
            writer.open(folder / name, "w").write(text)


def read_set(folder):
    with reading_set(folder / "a", folder / "b"):
        return (folder / "a").read_text(), (folder / "b").read_text()


def interrupt(folder, names=("a", "b"), command="pack data"):
    listing = {"files": list(names), "command": command}
    (folder / "a.writing").write_text(json.dumps(listing) + "\n")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_set_appears_together_and_leaves_nothing_else(tmp_path):
    write_set(tmp_path / "new", "1")
    assert read_set(tmp_path / "new") == ("1", "1")
    assert names_in(tmp_path / "new") == ["a", "b"]


def test_a_member_that_is_not_written_is_removed(tmp_path):
    write_set(tmp_path, "1")
    write_set(tmp_path, "2", names="a")
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_changes_nothing(tmp_path, error):
    write_set(tmp_path, "1")
    with pytest.raises(error), replace_set(tmp_path / "a", tmp_path / "b") as writer:
        writer.open(tmp_path / "a", "w").write("2" * 10_000)
        raise error
    assert read_set(tmp_path) == ("1", "1")
    assert names_in(tmp_path) == ["a", "b"]


def test_a_disk_that_is_full_changes_nothing(tmp_path, monkeypatch):
    write_set(tmp_path, "1")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_set(tmp_path, "2")
    # The same, while the marker is written.
    flushed = []
    monkeypatch.setattr(
        files.os, "fsync", lambda descriptor: flushed.append(1) or (len(flushed) > 2 and full(0))
    )
    with pytest.raises(OSError, match="No space left"):
        write_set(tmp_path, "2")
    monkeypatch.undo()
    assert read_set(tmp_path) == ("1", "1")
    assert names_in(tmp_path) == ["a", "b"]


def test_an_interrupted_set_is_refused_with_what_to_run_until_it_is_written_again(tmp_path):
    write_set(tmp_path, "1")
    interrupt(tmp_path)
    message = r"a: writing a, b was interrupted \(a.writing is there\), .*; run `pack data` again"
    with pytest.raises(ValueError, match=message):
        read_set(tmp_path)
    write_set(tmp_path, "2")
    assert read_set(tmp_path) == ("2", "2")
    assert names_in(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("text", ["", '{"files": ["a'])
def test_a_writer_killed_before_it_began_to_rename_has_changed_nothing(tmp_path, text):
    write_set(tmp_path, "1")
    marker_path(tmp_path / "a").write_text(text)
    assert read_set(tmp_path) == ("1", "1")


@pytest.mark.parametrize("text", ["\n", "[]\n", "{}\n", "\0\n", "[" * 10**5 + "\n"])
def test_a_damaged_marker_refuses_all_the_same(tmp_path, text):
    write_set(tmp_path, "1")
    marker_path(tmp_path / "a").write_text(text)
    with pytest.raises(ValueError, match="interrupted .*; run what wrote them again"):
        read_set(tmp_path)


def test_a_head_whose_name_leaves_no_room_for_a_marker_is_read(tmp_path):
    (tmp_path / ("x" * 250)).write_text("1")
    with reading_set(tmp_path / ("x" * 250)):
        assert (tmp_path / ("x" * 250)).read_text() == "1"


def test_what_mends_a_part_of_an_interrupted_set_is_refused_before_its_work(tmp_path):
    write_set(tmp_path, "1")
    interrupt(tmp_path, ("a", "b", "property"))
    with (
        pytest.raises(ValueError, match="writing a, b, property was interrupted"),
        replace_set(tmp_path / "a", tmp_path / "b"),
    ):
        raise AssertionError("the block is not reached")


def test_a_set_replaced_while_it_is_read_is_refused(tmp_path):
    write_set(tmp_path, "1")
    message = "a: was replaced while it was read; read it again"
    with pytest.raises(ValueError, match=message), reading_set(tmp_path / "a", tmp_path / "b"):
        write_set(tmp_path, "2")
    with pytest.raises(ValueError, match=message), reading_set(tmp_path / "a", tmp_path / "b"):
        write_set(tmp_path, "3")
        raise ValueError("these do not fit together")
    with (
        pytest.raises(ValueError, match="a fault of its own"),
        reading_set(tmp_path / "a", tmp_path / "b"),
    ):
        raise ValueError("a fault of its own")


def test_a_set_of_several_folders_is_none(tmp_path):
    with pytest.raises(ValueError, match="in one folder"), replace_set("x/a", "y/b"):
        pass


def test_parts_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead = tmp_path / "other.part-0123456789abcdef"
    dead.write_text("left")
    theirs = tmp_path / "notes.part-3"  # of somebody else
    theirs.write_text("kept")
    with replace_file(tmp_path / "a", "w") as first:
        first.write("first")
        with replace_file(tmp_path / "a", "w") as second:
            second.write("second")
        assert (tmp_path / "a").read_text() == "second"
    assert (tmp_path / "a").read_text() == "first"  # the last to end
    assert names_in(tmp_path) == ["a", "notes.part-3"]


def test_a_large_folder_is_searched_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SMALL_FOLDER", 0)
    now = [100.0]
    monkeypatch.setattr(files.time, "monotonic", lambda: now.__setitem__(0, now[0] + 1) or now[0])
    (tmp_path / "x").touch()
    searched = []
    monkeypatch.setattr(files, "_remove_if_left", searched.append)
    (tmp_path / "a.part-0123456789abcdef").touch()
    for _ in range(30):  # a search takes a second of this clock
        with replace_file(tmp_path / "a"):
            pass
    assert 1 < len(searched) < 4


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = (
        "import os, sys, time; from arcface_mxnet.locks import locked\n"
        "with locked(sys.argv[1], 1): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        told = []
        with (
            pytest.raises(TimeoutError, match="another process has held it"),
            locked(tmp_path / "lock", 0.05, lambda: told.append(1)),
        ):
            pass
        assert told == [1]
        holder.kill()
    with locked(tmp_path / "lock", 0) as descriptor:
        assert try_lock(os.dup(descriptor))


def test_a_lock_file_that_its_holder_removed_is_made_anew(tmp_path):
    path = tmp_path / "lock"
    with locked(path, 0) as first:
        path.unlink()
        with locked(path, 0) as second:
            assert not os.path.samestat(os.fstat(first), os.fstat(second))


def test_where_nothing_can_be_locked_sets_are_written_and_an_interrupted_one_is_refused(
    tmp_path, monkeypatch
):
    def no_locks(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    monkeypatch.setattr(files, "LOCKLESS_PATIENCE", 0.05)
    left = tmp_path / "c.part-0123456789abcdef"
    left.touch()
    write_set(tmp_path, "1")
    assert read_set(tmp_path) == ("1", "1")
    assert left.exists()  # its writer may live
    interrupt(tmp_path)
    with pytest.raises(ValueError, match="was interrupted"):
        read_set(tmp_path)


def test_two_writers_and_a_reader_for_a_while(tmp_path):
    """What is read is of one writing, and nobody takes the living for dead."""
    write_set(tmp_path, "start")
    end, children = time.monotonic() + 1.5, []
    for tag in "XY":
        child = os.fork()
        if not child:
            number = 0
            while time.monotonic() < end:
                write_set(tmp_path, f"{tag}{number}")
                number += 1
            os._exit(0)
        children.append(child)
    found, said = set(), set()
    while time.monotonic() < end:
        try:
            found.add(read_set(tmp_path))
        except (ValueError, FileNotFoundError) as error:
            said.add(str(error))
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert len(found) > 2 and all(len(set(texts)) == 1 for texts in found)
    assert not [text for text in said if "interrupted" in text]
    assert names_in(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("writer", ["file", "set", "rows"])
def test_a_disk_that_takes_no_more_is_told_with_the_file(tmp_path, writer):
    """RLIMIT_FSIZE in a process of its own: write() then fails and names no file, as on a full
    disk."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), writer], capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    path = tmp_path / ("rows.npy.partial" if writer == "rows" else "a.bin")
    assert line.startswith(f"error: {path}: the file system takes no file this large; write to ano")


FULL = """
import resource, signal, sys
from pathlib import Path
from arcface_mxnet.cli import run
from arcface_mxnet.embedding.row_store import RowWriter
from arcface_mxnet.files import refuse_no_file, replace_file, replace_set
import numpy as np

folder, kind = Path(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

def work():
    if kind == "file":
        with replace_file(folder / "a.bin") as file:
            file.write(bytes(1 << 21))
    elif kind == "set":
        with replace_set(folder / "a.bin", folder / "b.bin") as files:
            files.open(folder / "a.bin").write(bytes(1 << 21))
    else:
        with RowWriter(folder / "rows.npy", (2, 1 << 20), np.uint8) as writer:
            writer.write(np.zeros((2, 1 << 20), np.uint8))

sys.exit(run(work))
"""


def test_a_file_that_is_written_by_name_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "a"
    with files.replace_path(target) as part:
        assert part.parent == target.parent and not target.exists()
        part.write_text("new")
    assert target.read_text() == "new"
    with pytest.raises(RuntimeError), files.replace_path(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["a"]


def test_a_device_a_pipe_and_a_folder_are_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")  # a rename would remove the link, or the device
    (tmp_path / "folder").mkdir()
    for name, error in (("pipe", ValueError), ("device", ValueError), ("folder", OSError)):
        for write in (replace_file, replace_path):
            with pytest.raises(error, match=name), write(tmp_path / name):
                pytest.fail("begun")
        with pytest.raises(error, match=name), replace_set(tmp_path / "a", tmp_path / name):
            pytest.fail("begun")
        with pytest.raises(error, match=name):
            RowWriter(tmp_path / name, (1, 2), "float32")
    assert names_in(tmp_path) == ["device", "folder", "pipe"]
    assert (tmp_path / "device").is_symlink() and (tmp_path / "pipe").is_fifo()


def test_what_leads_to_the_output_is_no_file_even_where_the_output_is_one(tmp_path):
    (tmp_path / "mine").symlink_to("/dev/stdout")
    code = """
import os, sys
from arcface_mxnet.files import refuse_no_file
for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/absent", sys.argv[1]):
    assert name == "/dev/absent" or os.path.isfile(name), name
    try:
        refuse_no_file(name)
    except ValueError as error:
        print(error, file=sys.stderr)
"""
    with (tmp_path / "out").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "mine")],
            stdout=out, stderr=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    assert done.stderr.count("is a device or a pipe") == 5
    files.refuse_no_file("/dev/shm/there-is-none")


def test_a_disk_that_is_full_just_before_the_names_is_told_and_changes_nothing(
    tmp_path, monkeypatch
):
    write_set(tmp_path, "old")

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(OSError, match=r"a\.writing"):
        write_set(tmp_path, "new")
    assert read_set(tmp_path) == ("old", "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

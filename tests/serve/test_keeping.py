"""Backups of a store in use, and what is refused in place of one."""

import errno
import os
import shutil
import sqlite3
import threading

from arcface_mxnet import files
from arcface_mxnet.serve import command, keeping
from arcface_mxnet.serve.model_print import ModelPrint
from arcface_mxnet.serve.people import NewPhoto, People
import numpy as np
import pytest

ONE = np.array([1, 0, 0, 0], np.float32)
MODEL = ModelPrint({"network": "a" * 64}, np.stack([ONE] * 2), ONE)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "people.sqlite"


@pytest.fixture
def people(store):
    people = People(store, MODEL, 10**6)
    people.add("a", [NewPhoto(ONE), NewPhoto(ONE)])
    yield people
    people.close()


def test_a_backup_while_the_service_writes_is_one_moment(store, people, tmp_path):
    """Each person is enrolled with two photos at once: a backup never has one of them."""
    stop = threading.Event()

    def enrol():
        for number in range(10**6):
            if stop.is_set():
                return
            people.add(f"person {number}", [NewPhoto(ONE)] * 2)
            if number % 3 == 0:
                people.remove(f"person {number}")

    thread = threading.Thread(target=enrol)
    thread.start()
    try:
        for number in range(12):
            target = tmp_path / f"backup{number % 2}"
            told = keeping.backup(store, target)
            assert told.photos == 2 * told.people
            copy = People(target, MODEL, 10**6)
            assert set(copy.names().values()) == {2} and len(copy) == told.people
            copy.close()
    finally:
        stop.set()
        thread.join()
    assert told.people > 1
    assert {path.name for path in tmp_path.glob("*")} <= {
        "people.sqlite", "people.sqlite-wal", "people.sqlite-shm", "people.sqlite.lock",
        "backup0", "backup1", "backup0.lock", "backup1.lock",
    }  # fmt: skip


def test_a_backup_is_one_file_for_its_owner(store, people, tmp_path):
    target = tmp_path / "deep" / "backup"
    keeping.backup(store, target)
    assert [path.name for path in target.parent.iterdir()] == ["backup"]
    assert target.stat().st_mode & 0o077 == 0
    os.chmod(target, 0o400)  # noqa: PTH101
    assert keeping.verify(target).people == 1


def test_a_backup_that_fails_leaves_the_older_one(store, people, tmp_path, monkeypatch):
    target = tmp_path / "backup"
    keeping.backup(store, target)
    before = target.read_bytes()

    def broken(*arguments, **options):
        raise sqlite3.OperationalError("database or disk is full")

    people.add("b", [NewPhoto(ONE)])
    monkeypatch.setattr(keeping, "verify", broken)
    with pytest.raises(sqlite3.OperationalError):
        keeping.backup(store, target)
    assert target.read_bytes() == before
    assert not list(tmp_path.glob("*.part-*"))
    with pytest.raises(ValueError, match="is the store itself"):
        keeping.backup(store, store)


def test_restore(store, people, tmp_path, capsys):
    copy = str(tmp_path / "backup")
    assert command.main(["backup", copy, "--store", str(store)]) == 0
    people.add("b", [NewPhoto(ONE)])
    restoring = ["restore", copy, "--store", str(store)]
    assert command.main(restoring) == 2
    assert "does another process serve this store" in capsys.readouterr().err
    people.close()
    assert command.main(restoring) == 2
    assert "there is a store already; --replace" in capsys.readouterr().err
    assert command.main([*restoring, "--replace"]) == 0
    assert "1 people, 2 photos" in capsys.readouterr().out
    people = People(store, MODEL, 10)
    assert people.names() == {"a": 2}
    people.close()
    other = tmp_path / "new" / "store"
    assert command.main(["restore", copy, "--store", str(other)]) == 0
    assert command.main(["verify", str(other)]) == command.main(["--store", copy, "verify"]) == 0


def test_restore_puts_no_log_of_another_store_into_it(store, people, tmp_path):
    keeping.backup(store, tmp_path / "backup")
    people.add("b", [NewPhoto(ONE)])
    left = killed(store)
    keeping.restore(tmp_path / "backup", left, replace=True)
    assert keeping.verify(left).people == 1


def killed(store):
    """Return a copy of a store in use, as a killed service leaves it."""
    left = store.with_name("killed")
    for ending in ("", "-wal", "-shm"):
        shutil.copy(f"{store}{ending}", f"{left}{ending}")
    return left


def test_a_restore_that_fails_leaves_the_store_with_its_log(store, people, tmp_path, monkeypatch):
    keeping.backup(store, tmp_path / "backup")
    people.add("b", [NewPhoto(ONE)])
    left = killed(store)

    def full(part, sync):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(files._Part, "complete", full)
    with pytest.raises(OSError, match="no space left"):
        keeping.restore(tmp_path / "backup", left, replace=True)
    assert keeping.verify(left).people == 2


def test_a_damaged_store_gives_way_to_a_backup(store, people, tmp_path):
    keeping.backup(store, tmp_path / "backup")
    left = tmp_path / "damaged"
    left.write_bytes(b"no database" * 999)
    assert keeping.restore(tmp_path / "backup", left, replace=True).people == 1


def damaged(path, statement):
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE photos SET embedding = x'00' WHERE id = 2", "photo 2 has no whole numbers"),
        ("UPDATE photos SET embedding = zeroblob(16) WHERE id = 1", "photo 1 has length 0, not 1"),
        (
            "UPDATE photos SET embedding = x'0000c07f0000803f0000803f0000803f'",
            "has length nan, not 1",
        ),
        (
            "UPDATE photos SET embedding = x'0000803f' WHERE id = 2",
            "has 1 numbers, the network's 4",
        ),
        ("UPDATE models SET probe = x'0000803f'", "the probe of model 1 is none of 4 numbers"),
        ("UPDATE models SET facts = '[]'", "the facts of model 1 are no JSON object"),
        ("UPDATE photos SET model = 7", "of a model that is not there"),
        ("UPDATE photos SET name = char(10)", "has no name"),
        ("DROP TABLE audit", "it has no table audit"),
        ("CREATE TABLE songs (name)", "something else, with songs"),
    ],
)
def test_verify_finds_what_is_damaged(store, people, tmp_path, capsys, statement, reason):
    copy = tmp_path / "backup"
    keeping.backup(store, copy)
    damaged(copy, statement)
    with pytest.raises(ValueError, match=f"{copy}: .*{reason}"):
        keeping.verify(copy)
    with pytest.raises(ValueError, match=reason):
        keeping.restore(copy, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert command.main(["verify", str(copy)]) == 2 and reason in capsys.readouterr().err


@pytest.mark.parametrize(("statement", "reason"), [
    ("UPDATE audit SET at = 1 << 60", "1152921504606846976 is no time, in its audit log"),
    ("UPDATE audit SET at = 'noon'", "'noon' is no time"),
    ("UPDATE audit SET detail = '{'", "the details of its audit log are no JSON object"),
])  # fmt: skip
def test_a_damaged_audit_log_is_told(store, people, capsys, statement, reason):
    people.close()
    damaged(store, statement)
    assert command.main(["audit", "--store", str(store)]) == 2
    assert f"{store}: is damaged: {reason}" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["-wal", "-shm", ".lock"])
def test_a_backup_does_not_go_over_what_belongs_to_the_store(store, people, ending):
    beside = store.with_name(store.name + ending)
    before = beside.read_bytes()
    with pytest.raises(ValueError, match="belongs to the store, which it would destroy"):
        keeping.backup(store, beside)
    assert beside.read_bytes() == before


def test_a_store_is_restored_where_its_link_leads(store, people, tmp_path):
    keeping.backup(store, tmp_path / "backup")
    people.close()
    (tmp_path / "link").symlink_to(store)
    store.unlink()
    assert keeping.restore(tmp_path / "backup", tmp_path / "link").people == 1
    assert (tmp_path / "link").is_symlink() and keeping.verify(store).people == 1


def test_verify_finds_damaged_pages(store, people, tmp_path):
    for number in range(50):
        people.add(f"person {number}", [NewPhoto(ONE)] * 5)
    copy = tmp_path / "backup"
    keeping.backup(store, copy)
    data = bytearray(copy.read_bytes())
    data[-6000:-2000] = bytes(4000)
    copy.write_bytes(data)
    with pytest.raises(ValueError, match=str(copy)):
        keeping.verify(copy)
    with pytest.raises(FileNotFoundError, match="no store"):
        keeping.verify(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no backup"):
        keeping.restore(tmp_path / "nothing", store)


def test_the_file_that_is_damaged_is_named_and_not_the_good_one(store, people, tmp_path, capsys):
    people.close()
    backup, cut, text = (tmp_path / name for name in ("backup", "cut", "text"))
    assert command.main(["backup", str(backup), "--store", str(store)]) == 0
    cut.write_bytes(backup.read_bytes()[:5000])
    text.write_text("no database " * 99)
    capsys.readouterr()
    for bad in (cut, text):
        for words in (
            ["restore", str(bad), "--store", str(store), "--replace"],
            ["backup", str(tmp_path / "new"), "--store", str(bad)],
        ):
            assert command.main(words) == 2
            assert capsys.readouterr().err.startswith(f"error: {bad}: not a store of people")
    assert command.main(["verify", "--store", str(store)]) == 0
    assert not (tmp_path / "new").exists()

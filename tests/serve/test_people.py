"""The store keeps what it reported as stored, and refuses what does not belong to it."""

import os
import signal
import sqlite3
import subprocess
import sys

from arcface_mxnet.serve.people import People
from arcface_mxnet.serve.refusal import Refusal
import numpy as np
import pytest

PRINT = "a" * 64
PROBE = np.array([1, 0, 0, 0], np.float32)


def unit(*values):
    return np.array(values, np.float32) / np.linalg.norm(values)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.sqlite"


def test_search_takes_the_nearest_photo_of_each_person(path):
    people = People(path, PROBE, 10, PRINT)
    assert people.search(unit(1, 0, 0, 0), 5) == []
    people.add("b", [unit(0, 1, 0, 0), unit(1, 1, 0, 0)])
    people.add("a", [unit(1, 0, 0, 0)])
    people.add("b", [unit(0, 0, 0, 1)])
    found = people.search(unit(1, 0, 0, 0), 5)
    assert [name for name, _ in found] == ["a", "b"]
    assert [value for _, value in found] == pytest.approx([1, 2**-0.5])
    assert people.search(unit(0, 0, 0, 1), 1) == [("b", pytest.approx(1))]
    people.remove("a")
    assert [name for name, _ in people.search(unit(1, 0, 0, 0), 5)] == ["b"]
    people.close()


def test_what_was_stored_is_there_again(path):
    people = People(path, PROBE, 10, PRINT)
    people.add("a", [unit(1, 2, 3, 4)])
    people.add("b", [unit(4, 3, 2, 1)] * 2)
    people.remove("a")
    people.close()
    people = People(path, PROBE, 10, PRINT)
    assert people.names() == {"b": 2}
    assert people.search(unit(4, 3, 2, 1), 1) == [("b", pytest.approx(1))]
    people.close()
    assert path.stat().st_mode & 0o077 == 0


def test_the_fingerprint_decides_and_an_export_of_the_network_passes_by_its_probe(path):
    People(path, PROBE, 10, PRINT).close()
    People(path, unit(1, 1, 0, 0), 10, PRINT).close()  # the same network
    People(path, unit(1, 1e-4, 0, 0), 10, "b" * 64).close()  # its export
    with pytest.raises(ValueError, match=f"another network.*fingerprint {PRINT}, .* {'b' * 64}"):
        People(path, unit(1, 0.05, 0, 0), 10, "b" * 64)


def test_a_store_without_a_fingerprint_gets_one(path):
    People(path, PROBE, 10, PRINT).close()
    database = sqlite3.connect(path)
    with database:
        database.execute("DELETE FROM meta WHERE key = 'fingerprint'")
    database.close()
    with pytest.raises(ValueError, match="another network.*fingerprint unknown"):
        People(path, unit(1, 1, 0, 0), 10, PRINT)
    People(path, PROBE, 10, PRINT).close()
    People(path, unit(1, 1, 0, 0), 10, PRINT).close()


KILLED = """
import sys
import numpy as np
from arcface_mxnet.serve.people import People
people = People(sys.argv[1], np.array([1, 0, 0, 0], np.float32), 10**6, "print")
for number in range(10**6):
    people.add(f"person {number}", [np.array([0, 1, 0, 0], np.float32)])
    print(number, flush=True)
"""


def test_nobody_who_was_enrolled_is_lost_by_kill_9(path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if int(line) >= 20:
            os.kill(process.pid, signal.SIGKILL)
            break
    reported = int(line)
    rest = process.stdout.read().split()
    process.wait()
    reported = int(rest[-1]) if rest else reported
    people = People(path, PROBE, 10**6, PRINT)
    assert set(people.names()) >= {f"person {number}" for number in range(reported + 1)}
    people.close()


def test_stores_that_are_not_ours_to_use(path):
    people = People(path, PROBE, 10, PRINT)
    with pytest.raises(ValueError, match="locked; does another process serve"):
        People(path, PROBE, 10, PRINT)
    people.close()
    with pytest.raises(ValueError, match="enrolled with another network"):
        People(path, unit(1, 1, 0, 0), 10, "b" * 64)
    with pytest.raises(ValueError, match="enrolled with another network"):
        People(path, unit(1, 0, 0), 10, "b" * 64)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO photos (name, embedding) VALUES ('a', x'00')")
    database.close()
    with pytest.raises(ValueError, match="is damaged: an embedding of 'a' has 1 bytes"):
        People(path, PROBE, 10, PRINT)
    with pytest.raises(ValueError, match="is no file"):
        People(path.parent, PROBE, 10, PRINT)
    other = path.with_name("other.sqlite")
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE songs (name)")
    database.close()
    before = other.read_bytes()
    with pytest.raises(ValueError, match="a database of something else, with songs"):
        People(other, PROBE, 10, PRINT)
    assert other.read_bytes() == before
    path.write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="not a store of people"):
        People(path, PROBE, 10, PRINT)


def test_a_full_store_and_a_full_disk_leave_what_is_there(path):
    people = People(path, PROBE, 2, PRINT)
    people.add("a", [unit(1, 0, 0, 0)])
    with pytest.raises(Refusal, match="takes 2 photos"):
        people.add("b", [unit(1, 0, 0, 0)] * 2)
    people._database.execute("PRAGMA query_only = ON")  # as a disk that takes no more
    with pytest.raises(Refusal, match="cannot be written") as refused:
        people.add("b", [unit(1, 0, 0, 0)])
    assert refused.value.status == 507
    assert people.names() == {"a": 1}
    people._database.execute("PRAGMA query_only = OFF")
    people.add("b", [unit(1, 0, 0, 0)])
    people.close()


def test_a_forgotten_face_leaves_no_bytes(path):
    secret = unit(0.123, 0.456, 0.789, 0.321)
    people = People(path, PROBE, 10, PRINT)
    people.add("somebody", [secret])
    people.remove("somebody")
    for file in path.parent.glob("people.sqlite*"):  # the log beside it too, at once
        assert secret.tobytes() not in file.read_bytes() and b"somebody" not in file.read_bytes()
    people.close()
    assert secret.tobytes() not in path.read_bytes()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM photos").fetchone() == (0,)

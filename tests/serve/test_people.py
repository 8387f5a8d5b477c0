"""The store keeps what it reported as stored, and refuses what does not belong to it."""

from datetime import datetime
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

from arcface_mxnet.serve.keeping import audit_lines
from arcface_mxnet.serve.model_print import ModelPrint
from arcface_mxnet.serve.people import Change, NewPhoto, People
from arcface_mxnet.serve.refusal import Refusal
import numpy as np
import pytest


def unit(*values):
    return (np.array(values) / np.linalg.norm(values)).astype(np.float32)


def of_photos(*rows):
    return [NewPhoto(row) for row in rows]


def model(probe=(1, 0, 0, 0), network="a" * 64, ramp=(1, 0, 0, 0)):
    return ModelPrint({"network": network}, np.stack([unit(*probe)] * 2), unit(*ramp))


MODEL = model()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.sqlite"


def test_search_takes_the_nearest_photo_of_each_person(path):
    people = People(path, MODEL, 10)
    assert people.search(unit(1, 0, 0, 0), 5) == []
    people.add("b", of_photos(unit(0, 1, 0, 0), unit(1, 1, 0, 0)))
    people.add("a", of_photos(unit(1, 0, 0, 0)))
    people.add("b", of_photos(unit(0, 0, 0, 1)))
    found = people.search(unit(1, 0, 0, 0), 5)
    assert [name for name, _ in found] == ["a", "b"]
    assert [value for _, value in found] == pytest.approx([1, 2**-0.5])
    assert people.search(unit(0, 0, 0, 1), 1) == [("b", pytest.approx(1))]
    people.remove("a")
    assert [name for name, _ in people.search(unit(1, 0, 0, 0), 5)] == ["b"]
    people.close()


def test_what_was_stored_is_there_again(path):
    people = People(path, MODEL, 10)
    people.add("a", of_photos(unit(1, 2, 3, 4)))
    people.add("b", of_photos(unit(4, 3, 2, 1)) * 2)
    people.remove("a")
    people.close()
    people = People(path, MODEL, 10)
    assert people.names() == {"b": 2}
    assert people.search(unit(4, 3, 2, 1), 1) == [("b", pytest.approx(1))]
    people.close()
    assert path.stat().st_mode & 0o077 == 0


def test_the_probe_decides_whether_embeddings_can_be_compared(path):
    def open_with(other):
        People(path, other, 10).close()

    another = model((1, 0.3, 0, 0), "b" * 64)  # cosine 0.958
    people = People(path, MODEL, 10)
    people.close()
    open_with(another)  # nobody is enrolled yet
    people = People(path, MODEL, 10)
    people.add("a", of_photos(unit(1, 0, 0, 0)))
    people.close()
    open_with(MODEL)
    open_with(model((1, 0.2, 0, 0), "c" * 64))  # cosine 0.98: an INT8 copy
    with pytest.raises(ValueError, match=f"another network.*{'a' * 64}, .* {'b' * 64}.*--store"):
        open_with(another)
    with pytest.raises(ValueError, match="another network"):
        open_with(ModelPrint({"network": "a" * 64}, np.ones((2, 3), np.float32), np.ones(3)))
    with pytest.raises(ValueError, match="another network"):  # same facts, and yet another
        open_with(model((0, 1, 0, 0)))


def test_each_embedding_names_its_model(path):
    for number, network in enumerate(("a", "b", "a")):
        people = People(path, model((1, 0.1 * number, 0, 0), network), 10)
        people.add("x", of_photos(unit(1, 0, 0, 0)))
        people.close()
    with sqlite3.connect(path) as database:
        found = "SELECT facts FROM photos JOIN models ON models.id = model ORDER BY photos.id"
        facts = [text for (text,) in database.execute(found)]
    database.close()
    assert facts == [f'{{"network": "{network}"}}' for network in "aba"]


def first_form(path, fingerprint="a" * 64, ramp=(1, 0, 0, 0)):
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);"
            "CREATE TABLE photos (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            "embedding BLOB NOT NULL); CREATE INDEX photos_name ON photos (name);"
        )
        database.execute("INSERT INTO meta VALUES ('probe', ?)", (unit(*ramp).tobytes(),))
        if fingerprint:
            database.execute("INSERT INTO meta VALUES ('fingerprint', ?)", (fingerprint,))
        row = "a", unit(1, 2, 3, 4).tobytes()
        database.execute("INSERT INTO photos (name, embedding) VALUES (?, ?)", row)
    database.close()


@pytest.mark.parametrize(
    ("fingerprint", "ramp", "fits"),
    [
        ("a" * 64, (0, 1, 0, 0), True),
        ("b" * 64, (1, 1e-4, 0, 0), True),  # its export
        ("", (1, 1e-4, 0, 0), True),
        ("b" * 64, (1, 0.05, 0, 0), False),
        ("", (1, 0.05, 0, 0), False),
        ("b" * 64, (1, 0, 0), False),
    ],
)
def test_a_store_of_the_first_form_is_taken_over_whole_or_refused(path, fingerprint, ramp, fits):
    first_form(path, fingerprint, ramp)
    if not fits:
        before = path.read_bytes()
        with pytest.raises(ValueError, match="another network"):
            People(path, MODEL, 10)
        assert path.read_bytes() == before
        return
    for _ in range(2):
        people = People(path, MODEL, 10)
        assert people.search(unit(1, 2, 3, 4), 1) == [("a", pytest.approx(1))]
        assert people.photos("a") == [{"id": 1, "sha256": None, "score": None, "added": None}]
        people.close()


def aligned(by):
    return ModelPrint(
        {"network": "a" * 64, "alignment": f"112x112 by {by}"}, MODEL.probe, MODEL.ramp
    )


def test_faces_aligned_by_another_detector_are_not_mixed(path):
    people = People(path, aligned("MtcnnDetector"), 10)
    people.add("a", of_photos(unit(1, 0, 0, 0)))
    people.close()
    with pytest.raises(ValueError, match="by MtcnnDetector.* by YunetDetector.*--detector mtcnn"):
        People(path, aligned("YunetDetector"), 10)
    People(path, aligned("MtcnnDetector"), 10).close()
    old = path.with_name("old.sqlite")
    first_form(old)
    with pytest.raises(ValueError, match="by MtcnnDetector.* by YunetDetector"):
        People(old, aligned("YunetDetector"), 10)
    People(old, aligned("MtcnnDetector"), 10).close()


def test_photos_are_listed_and_deleted_one_by_one(path):
    people = People(path, MODEL, 10)
    photos = [NewPhoto(unit(1, 0, 0, 0), "ab", 0.9), NewPhoto(unit(0, 1, 0, 0), "cd", 0.8)]
    ids = people.add("a", photos)["ids"]
    assert [(row["id"], row["sha256"], row["score"]) for row in people.photos("a")] == [
        (ids[0], "ab", 0.9), (ids[1], "cd", 0.8),
    ]  # fmt: skip
    people.remove_photo(ids[1])
    assert people.names() == {"a": 1} and people.search(unit(0, 1, 0, 0), 1)[0][1] == 0
    with pytest.raises(Refusal, match=f"no photo {ids[1]}"):
        people.remove_photo(ids[1])
    assert people.add("b", photos[:1])["ids"][0] > ids[1]  # its number never comes again
    people.remove_photo(ids[0])
    assert people.names() == {"b": 1}
    with pytest.raises(Refusal, match="nobody is enrolled as 'a'"):
        people.photos("a")
    people.close()


def test_what_is_too_late_is_not_stored(path):
    people = People(path, MODEL, 10)
    late = Change(deadline=time.monotonic() - 1)
    people.add("a", of_photos(unit(1, 0, 0, 0)))
    for change in (
        lambda: people.add("b", of_photos(unit(1, 0, 0, 0)), late),
        lambda: people.remove("a", late),
        lambda: people.remove_photo(1, late),
    ):
        with pytest.raises(Refusal, match="nothing was stored") as refused:
            change()
        assert refused.value.status == 503 and refused.value.retry_after
    assert people.names() == {"a": 1}
    people.close()
    people = People(path, MODEL, 10)
    assert people.names() == {"a": 1}
    people.close()


def test_a_repeated_request_changes_nothing(path):
    people = People(path, MODEL, 10)
    change = Change(key="k", request="r")
    answers = [people.add("a", of_photos(unit(1, 0, 0, 0)), change) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2] == people.known_answer(change)
    assert people.names() == {"a": 1}
    with pytest.raises(Refusal, match="that of another request"):
        people.add("b", of_photos(unit(1, 0, 0, 0)), Change(key="k", request="other"))
    people.close()
    people = People(path, MODEL, 10)
    assert people.add("a", of_photos(unit(1, 0, 0, 0)), change) == answers[0]
    for _ in range(2):
        people.remove("a", Change(key="d", request="d"))  # and not 404 the second time
    with pytest.raises(Refusal, match="deleted since"):
        people.add("a", of_photos(unit(1, 0, 0, 0)), change)
    assert people.names() == {}
    people.close()


def test_the_audit_log_tells_who_what_and_when_and_can_be_left_out(path):
    for audit in (True, False):
        people = People(path, MODEL, 10, audit=audit)
        people.add("a", of_photos(unit(1, 0, 0, 0)), Change(who="me"))
        people.add("b", of_photos(unit(1, 0, 0, 0)), Change(who="me"))
        people.remove("a", Change(who="you"))
        people.close()
    lines = [json.loads(line) for line in audit_lines(path)]
    first, second, third = ((line["who"], line["what"], line["name"]) for line in lines)
    assert second == ("me", "enroll", "b")
    # Of who is forgotten no name is left, but that it was one and the same.
    assert first == ("me", "enroll", third[2]) and third[:2] == ("you", "forget")
    assert third[2].startswith("forgotten ") and len(third[2]) == 26
    assert all(abs(datetime.fromisoformat(line["at"]).timestamp() - time.time()) < 60
               for line in lines)  # fmt: skip


KILLED = """
import sys
import numpy as np
from arcface_mxnet.serve.model_print import ModelPrint
from arcface_mxnet.serve.people import NewPhoto, People
one = np.array([1, 0, 0, 0], np.float32)
people = People(sys.argv[1], ModelPrint({"network": "a" * 64}, np.stack([one] * 2), one), 10**6)
for number in range(10**6):
    people.add(f"person {number}", [NewPhoto(one)])
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
    people = People(path, MODEL, 10**6)
    assert set(people.names()) >= {f"person {number}" for number in range(reported + 1)}
    people.close()


def test_stores_that_are_not_ours_to_use(path):
    people = People(path, MODEL, 10)
    people.add("a", of_photos(unit(1, 0, 0, 0)))
    with pytest.raises(ValueError, match="locked; does another process serve"):
        People(path, MODEL, 10)
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    with pytest.raises(ValueError, match="locked; does another process serve"):
        People(link, MODEL, 10)
    people.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE photos SET embedding = x'00'")
    database.close()
    with pytest.raises(ValueError, match="damaged: the embedding of photo 1 has no whole numbers"):
        People(path, MODEL, 10)
    for blob, words in (
        ("zeroblob(32)", "has 8 numbers, the network's 4"),
        ("x'0000c07f0000803f0000803f0000803f'", "has length nan, not 1"),
    ):
        with sqlite3.connect(path) as database:
            database.execute(f"UPDATE photos SET embedding = {blob}")
        database.close()
        with pytest.raises(ValueError, match=f"is damaged: the embedding of photo 1 {words}"):
            People(path, MODEL, 10)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="form 99, of a newer version"):
        People(path, MODEL, 10)
    with pytest.raises(ValueError, match="is no file"):
        People(path.parent, MODEL, 10)
    other = path.with_name("other.sqlite")
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE songs (name)")
    database.close()
    before = other.read_bytes()
    with pytest.raises(ValueError, match="a database of something else, with songs"):
        People(other, MODEL, 10)
    assert other.read_bytes() == before
    path.write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="not a store of people"):
        People(path, MODEL, 10)


def test_a_full_store_and_a_full_disk_leave_what_is_there(path):
    people = People(path, MODEL, 2)
    people.add("a", of_photos(unit(1, 0, 0, 0)))
    with pytest.raises(Refusal, match="takes 2 photos"):
        people.add("b", of_photos(unit(1, 0, 0, 0)) * 2)
    people._store.database.execute("PRAGMA query_only = ON")  # as a disk that takes no more
    with pytest.raises(Refusal, match="cannot be written") as refused:
        people.add("b", of_photos(unit(1, 0, 0, 0)))
    assert refused.value.status == 507
    assert people.names() == {"a": 1}
    people._store.database.execute("PRAGMA query_only = OFF")
    people.add("b", of_photos(unit(1, 0, 0, 0)))
    people.close()


def test_a_forgotten_face_leaves_no_bytes(path):
    secret = unit(0.123, 0.456, 0.789, 0.321)
    people = People(path, MODEL, 10)
    people.add("somebody", of_photos(secret), Change(key="k", request="r"))
    people.remove("somebody")
    for file in path.parent.glob("people.sqlite*"):  # the log beside it too, at once
        assert secret.tobytes() not in file.read_bytes() and b"somebody" not in file.read_bytes()
    people.close()
    assert secret.tobytes() not in path.read_bytes()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM photos").fetchone() == (0,)

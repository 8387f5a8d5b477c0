"""Enrolled people: changes of the store, and the search among their embeddings in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import hashlib
import json
import os
import sqlite3
import threading
import time
from typing import Any

import numpy as np

from .model_print import ModelPrint
from .refusal import Refusal
from .store import Store, told_of
from .store_form import checked_embedding

KEY_DAYS = 7  # for which an Idempotency-Key is known
NEVER = float("inf")


@dataclass(frozen=True)
class NewPhoto:
    """embedding: float32 (D,), unit length.  sha256: of the photo's bytes.  score: of its face."""

    embedding: np.ndarray
    sha256: str = ""
    score: float | None = None


@dataclass(frozen=True)
class Change:
    """Who asks for a change, and how often it may be done.

    deadline: time.monotonic() until which it may begin to be stored.  key: of a request that may
    be repeated, "" for none.  request: what tells it from another request under that key.
    """

    who: str = ""
    deadline: float = NEVER
    key: str = ""
    request: str = ""


class People:
    """The people enrolled in a file, which is made if it is absent; safe to share by threads.

    max_photos: in all.  audit: write down who changes what.
    Raises ValueError if the file is no such store, belongs to another network or is in use.
    """

    def __init__(
        self, path: str | os.PathLike, model: ModelPrint, max_photos: int, audit: bool = True
    ):
        self._max_photos, self._audit, self._lock = max_photos, audit, threading.Lock()
        self._store = Store(path, model)
        try:
            with told_of(self._store.path):
                self._load(model.probe.shape[1])
        except BaseException:
            self._store.close()
            raise

    def _load(self, length: int) -> None:
        """Read all embeddings (length,) into memory, a person's rows side by side."""
        rows = self._store.database.execute("SELECT id, name, embedding FROM photos ORDER BY id")
        self._by_name: dict[str, dict[int, np.ndarray]] = {}
        for number, name, blob in rows:
            row = checked_embedding(number, blob, length)
            self._by_name.setdefault(str(name), {})[number] = row
        self._index: tuple[np.ndarray, np.ndarray, list[str]] | None = None

    def close(self) -> None:
        """Close the store, its log emptied.  A second call does nothing."""
        with self._lock:
            self._store.close()

    def empty_log(self) -> None:
        """Bring what was changed from the log into the file itself."""
        with self._lock:
            self._store.empty_log()

    def check(self) -> None:
        """Raise sqlite3.Error unless the store can be read."""
        with self._lock:
            self._store.database.execute("SELECT count(*) FROM models").fetchone()

    @property
    def path(self) -> os.PathLike:
        return self._store.path

    def __len__(self) -> int:
        return len(self._by_name)

    def names(self, after: str = "", limit: int | None = None) -> dict[str, int]:
        """Return how many photos each person has, by name, in the order of code points.

        after: only names beyond it, which need not be enrolled.  limit: at most so many.
        """
        with self._lock:
            later = sorted(name for name in self._by_name if name > after)[:limit]
            return {name: len(self._by_name[name]) for name in later}

    def embeddings(self, name: str) -> list[np.ndarray]:
        """Return the embeddings of a person's photos, (D,) each; none of who is not enrolled."""
        with self._lock:
            return list(self._by_name.get(name, {}).values())

    def photos(self, name: str, after: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the photos of a person: id, sha256, score, added, by id.  Raises Refusal (404).

        after: only ids beyond it.  limit: at most so many.
        """
        with self._lock:
            self._must_know(name)
            rows = self._store.database.execute(
                "SELECT id, sha256, score, added FROM photos WHERE name = ? AND id > ? "
                "ORDER BY id LIMIT ?",
                (name, after, -1 if limit is None else limit),
            ).fetchall()
        return [dict(zip(("id", "sha256", "score", "added"), row, strict=True)) for row in rows]

    def known_answer(self, change: Change) -> Any:
        """Return what a request was answered before, None if it is new.

        Raises Refusal if its key was another request's, or its person is forgotten since.
        """
        if not change.key:
            return None
        with self._lock:
            return _known_answer(self._store.database, change)

    def add(self, name: str, photos: Sequence[NewPhoto], change: Change = Change()) -> Any:  # noqa: B008
        """Enrol photos under a name; return {"name", "photos": how many it has now, "ids"}.

        All are stored or none.  Raises Refusal if the store is full or cannot be written, or the
        deadline is over.
        """
        with self._lock:
            total = sum(map(len, self._by_name.values())) + len(photos)

            def work(database: sqlite3.Connection) -> dict[str, Any]:
                if total > self._max_photos:
                    raise Refusal(409, "store_full", f"the store takes {self._max_photos} photos")
                ids = [self._insert(database, name, photo) for photo in photos]
                self._write_down(database, change, "enroll", name, {"photos": ids})
                count = len(self._by_name.get(name, ())) + len(ids)
                return {"name": name, "photos": count, "ids": ids}

            is_new, answer = self._change(change, name, work)
            if is_new:
                rows = (np.asarray(photo.embedding, np.float32) for photo in photos)
                self._by_name.setdefault(name, {}).update(zip(answer["ids"], rows, strict=True))
                self._index = None
            return answer

    def remove(self, name: str, change: Change = Change()) -> None:  # noqa: B008
        """Forget a person.  Raises Refusal if there is none of that name."""
        with self._lock:

            def work(database: sqlite3.Connection) -> dict[str, Any]:
                self._must_know(name)
                database.execute("DELETE FROM photos WHERE name = ?", (name,))
                self._write_down(database, change, "forget", name, {})
                _forget_name(database, name)
                return {}

            if self._change(change, None, work)[0]:
                del self._by_name[name]
                self._index = None
                self._store.empty_log()  # which still holds the bytes

    def remove_photo(self, number: int, change: Change = Change()) -> None:  # noqa: B008
        """Forget one photo; with the last of them its person.  Raises Refusal if it is unknown."""
        with self._lock:
            name = next((who for who, rows in self._by_name.items() if number in rows), None)

            def work(database: sqlite3.Connection) -> dict[str, Any]:
                if name is None:
                    raise Refusal(404, "unknown_photo", f"there is no photo {number}")
                database.execute("DELETE FROM photos WHERE id = ?", (number,))
                self._write_down(database, change, "forget photo", name, {"photos": [number]})
                if len(self._by_name[name]) == 1:
                    _forget_name(database, name)
                return {}

            if self._change(change, None, work)[0]:
                del self._by_name[name][number]
                if not self._by_name[name]:
                    del self._by_name[name]
                self._index = None
                self._store.empty_log()

    def search(self, embedding: np.ndarray, limit: int) -> list[tuple[str, float]]:
        """Return the nearest people, best first: name and the cosine of their nearest photo."""
        with self._lock:
            if not self._by_name:
                return []
            if self._index is None:
                counts = [len(rows) for rows in self._by_name.values()]
                matrix = np.stack([r for rows in self._by_name.values() for r in rows.values()])
                self._index = matrix, np.cumsum([0, *counts[:-1]]), list(self._by_name)
            matrix, starts, names = self._index
        # Rounding may leave a cosine of equal vectors a little above 1.
        best = np.clip(np.maximum.reduceat(matrix @ embedding, starts), -1, 1)  # (people,)
        nearest = np.argsort(-best, kind="stable")[:limit]
        return [(names[i], float(best[i])) for i in nearest]

    def _change(
        self, change: Change, name: str | None, work: Callable[[sqlite3.Connection], dict[str, Any]]
    ) -> tuple[bool, Any]:
        """Return whether the change was made now, and its answer.  name: whom it tells of."""
        with self._store.changing(change.deadline) as database:
            if change.key and (known := _known_answer(database, change)) is not None:
                return False, known
            answer = work(database)
            if change.key:
                now = int(time.time())
                oldest = now - KEY_DAYS * 24 * 3600
                database.execute("DELETE FROM answers WHERE at < ?", (oldest,))
                row = change.key, change.request, json.dumps(answer), name, now
                database.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", row)
        return True, answer

    def _insert(self, database: sqlite3.Connection, name: str, photo: NewPhoto) -> int:
        blob = np.asarray(photo.embedding, "<f4").tobytes()
        row = name, blob, self._store.model_row, photo.sha256, photo.score, int(time.time())
        return database.execute(
            "INSERT INTO photos (name, embedding, model, sha256, score, added) "
            "VALUES (?, ?, ?, ?, ?, ?)", row,
        ).lastrowid  # fmt: skip

    def _write_down(
        self, database: sqlite3.Connection, change: Change, what: str, name: str, detail: dict
    ) -> None:
        if self._audit:
            row = int(time.time()), change.who, what, name, json.dumps(detail)
            database.execute(
                "INSERT INTO audit (at, who, what, name, detail) VALUES (?, ?, ?, ?, ?)", row
            )

    def _must_know(self, name: str) -> None:
        if name not in self._by_name:
            raise Refusal(404, "unknown_person", f"nobody is enrolled as {name!r}")


def _known_answer(database: sqlite3.Connection, change: Change) -> Any:
    row = database.execute(
        "SELECT request, answer FROM answers WHERE key = ?", (change.key,)
    ).fetchone()
    if row is None:
        return None
    if row[0] != change.request:
        raise Refusal(422, "key_reused", "this Idempotency-Key was that of another request")
    if row[1] is None:
        raise Refusal(409, "key_spent", "what this Idempotency-Key enrolled is deleted since")
    return json.loads(row[1])


def _forget_name(database: sqlite3.Connection, name: str) -> None:
    """Leave no byte of a name in what is told of earlier requests."""
    database.execute("UPDATE answers SET answer = NULL, name = NULL WHERE name = ?", (name,))
    (salt,) = database.execute("SELECT value FROM meta WHERE key = 'salt'").fetchone()
    digest = hashlib.sha256(salt + name.encode()).hexdigest()[:16]
    database.execute("UPDATE audit SET name = ? WHERE name = ?", (f"forgotten {digest}", name))

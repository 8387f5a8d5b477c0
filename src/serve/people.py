"""Enrolled people in one SQLite file, and the search among them.

    meta    fingerprint: of the network that embedded, Embedder.fingerprint; embeddings of another
            mean nothing here, so a store is refused where it differs
            probe: the network's embedding of a fixed pattern, by which an export of the same
            network, whose file has a fingerprint of its own, is told from another network
    photos  name, embedding float32 (D,) little endian; a person is the rows of one name

What `add` and `remove` report as done is on the disk: it survives a killed process.  One
process at a time may hold the file.
"""

from __future__ import annotations

import os
from pathlib import Path
import sqlite3
import threading
import unicodedata

import numpy as np

from .refusal import Refusal

NAME_LENGTH = 100
SAME_NETWORK = 0.9999  # cosine of the probes of a network and its export
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS photos (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, embedding BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS photos_name ON photos (name);
"""


class People:
    """The people enrolled in a file, which is made if it is absent.

    probe: Recognizer.probe().  max_photos: in all.  fingerprint: of the network.
    Raises ValueError if the file is no such store, belongs to another network or is in use.
    """

    def __init__(
        self, path: str | os.PathLike, probe: np.ndarray, max_photos: int, fingerprint: str
    ):
        self._max_photos, self._lock = max_photos, threading.Lock()
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # embeddings of faces are nobody else's business
        if not path.is_file():
            raise ValueError(f"{path}: is no file, and cannot be a store of people")
        self._database = sqlite3.connect(path, timeout=1, check_same_thread=False)
        try:
            self._open(probe, fingerprint)
        except sqlite3.OperationalError as error:
            self._database.close()
            hint = "; does another process serve this store?" if "locked" in str(error) else ""
            raise ValueError(f"{path}: {error}{hint}") from None
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ValueError(f"{path}: not a store of people ({error})") from None
        except UnicodeDecodeError:
            self._database.close()
            raise ValueError(f"{path}: not a store of people (a text in it is not UTF-8)") from None
        except ValueError as error:
            self._database.close()
            raise ValueError(f"{path}: {error}") from None

    def _open(self, probe: np.ndarray, fingerprint: str) -> None:
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        tables = self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if others := {name for (name,) in tables} - {"meta", "photos"}:
            raise ValueError(f"is a database of something else, with {', '.join(sorted(others))}")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA secure_delete = ON")  # a deleted face leaves no bytes
        with self._database:
            self._database.executescript(SCHEMA)
            known = dict(self._database.execute("SELECT key, value FROM meta"))
            if "probe" not in known:
                known = {"probe": _to_bytes(probe)}
                self._database.execute("INSERT INTO meta VALUES ('probe', ?)", (known["probe"],))
            if known.get("fingerprint") != fingerprint:
                self._check_probe(known, probe, fingerprint)
            if "fingerprint" not in known:  # new, or of a version that had none
                row = ("fingerprint", fingerprint)
                self._database.execute("INSERT INTO meta VALUES (?, ?)", row)
        self._load(len(_to_bytes(probe)))

    @staticmethod
    def _check_probe(known: dict, probe: np.ndarray, fingerprint: str) -> None:
        there = np.frombuffer(known["probe"], "<f4")
        if there.shape != probe.shape or not float(there @ probe) >= SAME_NETWORK:
            raise ValueError(
                "was enrolled with another network, whose embeddings cannot be compared "
                f"(fingerprint {known.get('fingerprint', 'unknown')}, this one has {fingerprint}); "
                "give that network or another store"
            )

    def _load(self, num_bytes: int) -> None:
        """Read all embeddings, of num_bytes each, into memory, a person's rows side by side."""
        rows = self._database.execute("SELECT name, embedding FROM photos ORDER BY name, id")
        self._by_name: dict[str, list[np.ndarray]] = {}
        for name, blob in rows:
            if len(blob) != num_bytes:
                raise ValueError(f"is damaged: an embedding of {name!r} has {len(blob)} bytes")
            self._by_name.setdefault(name, []).append(np.frombuffer(blob, "<f4"))
        self._index: tuple[np.ndarray, np.ndarray, list[str]] | None = None

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def __len__(self) -> int:
        return len(self._by_name)

    def names(self) -> dict[str, int]:
        """Return how many photos each person has, by name."""
        with self._lock:
            return {name: len(rows) for name, rows in sorted(self._by_name.items())}

    def add(self, name: str, embeddings: np.ndarray) -> int:
        """Enrol photos (N, D) under a name; return how many it has now.

        All are stored or none.  Raises Refusal if the store is full or cannot be written.
        """
        with self._lock:
            total = sum(map(len, self._by_name.values())) + len(embeddings)
            if total > self._max_photos:
                raise Refusal(409, "store_full", f"the store takes {self._max_photos} photos")
            rows = [(name, _to_bytes(embedding)) for embedding in embeddings]
            self._write("INSERT INTO photos (name, embedding) VALUES (?, ?)", rows)
            self._by_name.setdefault(name, []).extend(np.asarray(embeddings, np.float32))
            self._index = None
            return len(self._by_name[name])

    def remove(self, name: str) -> None:
        """Forget a person.  Raises Refusal if there is none of that name."""
        with self._lock:
            if name not in self._by_name:
                raise Refusal(404, "unknown_person", f"nobody is enrolled as {name!r}")
            self._write("DELETE FROM photos WHERE name = ?", [(name,)])
            del self._by_name[name]
            self._index = None
            # The log of changes still holds the bytes until it is emptied.
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _write(self, statement: str, rows: list[tuple]) -> None:
        try:
            with self._database:  # one transaction: committed, or rolled back
                self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            raise Refusal(507, "store_failed", f"the store cannot be written: {error}") from None

    def search(self, embedding: np.ndarray, limit: int) -> list[tuple[str, float]]:
        """Return the nearest people, best first: name and the cosine of their nearest photo."""
        with self._lock:
            if not self._by_name:
                return []
            if self._index is None:
                counts = [len(rows) for rows in self._by_name.values()]
                matrix = np.stack([row for rows in self._by_name.values() for row in rows])
                self._index = matrix, np.cumsum([0, *counts[:-1]]), list(self._by_name)
            matrix, starts, names = self._index
        # Rounding may leave a cosine of equal vectors a little above 1.
        best = np.clip(np.maximum.reduceat(matrix @ embedding, starts), -1, 1)  # (people,)
        nearest = np.argsort(-best, kind="stable")[:limit]
        return [(names[i], float(best[i])) for i in nearest]


def checked_name(name: str) -> str:
    """Return a name in its normal form.  Raises Refusal if it is none."""
    name = unicodedata.normalize("NFC", name).strip()
    if not name or name in (".", "..") or len(name) > NAME_LENGTH or not name.isprintable():
        raise Refusal(
            422, "bad_name", f"a name has 1 to {NAME_LENGTH} printable characters, and is not a dot"
        )
    return name


def _to_bytes(embedding: np.ndarray) -> bytes:
    return np.asarray(embedding, "<f4").tobytes()

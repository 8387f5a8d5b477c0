"""The tables of a store of people, and how an older store becomes one of today.

    models  facts: JSON by name, see model_print.py; probe: float32 (K, D) little endian
    photos  one embedding of a photo: name; embedding float32 (D,) little endian, unit length;
            model: which made it; sha256 of the photo's bytes, score of its face, added: seconds
            since 1970 (NULL in photos of the first form)
    answers what an Idempotency-Key was answered, so that a repeated request changes nothing; the
            answer is emptied when its person is forgotten
    audit   who changed what, and when; never anything of a picture.  The name of who is forgotten
            gives way to a digest by which the lines of one name are told from others
    meta    salt: of those digests

A person is the rows of one name.  Form 1 (user_version 0) had photos without model, and in `meta`
the fingerprint of the one network and its embedding of a ramp of grey levels.
"""

from __future__ import annotations

import json
import secrets
import sqlite3

import numpy as np

from .model_print import ModelPrint

UNIT = 1e-3  # by which the length of an embedding may differ from 1
FORM = 2  # PRAGMA user_version
FIRST_ALIGNMENT = "by MtcnnDetector"  # what the first form's service took unless told otherwise
TABLES = frozenset({"models", "photos", "answers", "audit", "meta"})
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE models (id INTEGER PRIMARY KEY, facts TEXT NOT NULL UNIQUE, probe BLOB NOT NULL);
CREATE TABLE photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, embedding BLOB NOT NULL,
    model INTEGER NOT NULL REFERENCES models, sha256 TEXT, score REAL, added INTEGER
);
CREATE INDEX photos_name ON photos (name);
CREATE TABLE answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT, name TEXT, at INTEGER NOT NULL
);
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL,
    what TEXT NOT NULL, name TEXT NOT NULL, detail TEXT NOT NULL
);
"""


def checked_embedding(number: int, blob: object, length: int | None = None) -> np.ndarray:
    """Return the embedding of a photo's row, float32 (D,).  Raises ValueError if it is none.

    length: D, where it is known.
    """
    if not isinstance(blob, bytes) or len(blob) % 4 or not blob:
        raise ValueError(f"is damaged: the embedding of photo {number} has no whole numbers")
    row = np.frombuffer(blob, "<f4")
    if length not in (None, len(row)):
        raise ValueError(
            f"is damaged: the embedding of photo {number} has {len(row)} numbers, the network's "
            f"{length}"
        )
    norm = float(np.linalg.norm(row.astype(np.float64)))
    if not abs(norm - 1) < UNIT:
        raise ValueError(f"is damaged: the embedding of photo {number} has length {norm:g}, not 1")
    return row


def check_form(database: sqlite3.Connection) -> int:
    """Return the form of a store, 0 for an empty file.

    Raises ValueError if it is a database of something else, or of a newer version.
    """
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master") if name}
    tables = {name for name in tables if not name.startswith("sqlite_")} - {"photos_name"}
    if others := tables - TABLES:
        raise ValueError(f"is a database of something else, with {', '.join(sorted(others))}")
    (form,) = database.execute("PRAGMA user_version").fetchone()
    if form > FORM:
        raise ValueError(f"has form {form}, of a newer version; this one reads up to {FORM}")
    if form == 0:
        return 1 if "photos" in tables else 0
    if missing := TABLES - tables:
        raise ValueError(f"is damaged: it has no table {', '.join(sorted(missing))}")
    return form


def prepare(database: sqlite3.Connection, model: ModelPrint) -> int:
    """Make the tables or bring them to today's form; return the row of the model.

    Call within a transaction.  Raises ValueError if it holds embeddings of another network.
    """
    form = check_form(database)
    old = _take_old(database, model) if form == 1 else None
    if form != FORM:
        for statement in SCHEMA.split(";\n"):
            database.execute(statement)
        database.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_bytes(16),))
        database.execute(f"PRAGMA user_version = {FORM}")
    number = _model_row(database, model)
    if old is not None:
        rows = [(number_of_row, *row, number) for number_of_row, *row in old]
        database.executemany(
            "INSERT INTO photos (id, name, embedding, model) VALUES (?, ?, ?, ?)", rows
        )
    return number


def _take_old(database: sqlite3.Connection, model: ModelPrint) -> list[tuple]:
    """Return the rows of the first form, and drop its tables."""
    known = dict(database.execute("SELECT key, value FROM meta"))
    rows = list(database.execute("SELECT id, name, embedding FROM photos"))
    fingerprint = known.get("fingerprint")
    if rows and fingerprint != model.facts.get("network"):
        ramp = np.frombuffer(known.get("probe", b""), "<f4")
        if not model.is_like_ramp(ramp):
            raise _another(fingerprint or "unknown", model)
    if rows and not model.facts.get("alignment", FIRST_ALIGNMENT).endswith(FIRST_ALIGNMENT):
        raise _aligned_otherwise(FIRST_ALIGNMENT, model)
    for table in ("photos", "meta"):
        database.execute(f"DROP TABLE IF EXISTS {table}")
    return rows


def _model_row(database: sqlite3.Connection, model: ModelPrint) -> int:
    """Return the row of the model, made if it is new.  Raises ValueError if it is another one."""
    facts = json.dumps(dict(model.facts), sort_keys=True)
    in_use = "SELECT id, facts, probe FROM models WHERE id IN (SELECT model FROM photos)"
    for _, known, probe in database.execute(in_use):
        aligned = _fact(known, "alignment")
        if aligned != model.facts.get("alignment", "unknown"):
            raise _aligned_otherwise(aligned, model)
        there = np.frombuffer(probe, "<f4")
        if there.size != model.probe.size or not model.is_like(there.reshape(model.probe.shape)):
            raise _another(_fact(known, "network"), model)
    row = database.execute("SELECT id FROM models WHERE facts = ?", (facts,)).fetchone()
    if row:
        return row[0]
    values = facts, np.asarray(model.probe, "<f4").tobytes()
    return database.execute("INSERT INTO models (facts, probe) VALUES (?, ?)", values).lastrowid


def _fact(facts: str, name: str) -> str:
    try:
        return str(json.loads(facts).get(name, "unknown"))
    except (ValueError, AttributeError):
        return "unknown"


def _aligned_otherwise(known: str, model: ModelPrint) -> ValueError:
    return ValueError(
        f"holds faces aligned {known}, this detector aligns {model.facts.get('alignment')}: the "
        "same photo would be as unlike as with another network; start it with that detector "
        "(--detector mtcnn or yunet), or take another store (--store), into which its people are "
        "enrolled anew from their photos"
    )


def _another(fingerprint: str, model: ModelPrint) -> ValueError:
    return ValueError(
        "was enrolled with another network, whose embeddings cannot be compared (fingerprint "
        f"{fingerprint}, this one has {model.facts.get('network', 'unknown')}); give that network "
        "(--model), or another store (--store), into which its people are enrolled anew from "
        "their photos"
    )

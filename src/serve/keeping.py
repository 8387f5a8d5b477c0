"""Copies of a store of people: backup while the service runs, verify, restore; its audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
import json
import os
from pathlib import Path
import sqlite3
from typing import Any
from urllib.parse import quote

from ..files import replace_path
from .names import checked_name
from .refusal import Refusal
from .store import LOCK, hold, told_of
from .store_form import check_form, checked_embedding

SIDE_FILES = ("-wal", "-shm", "-journal")
PATIENCE = 10.0  # seconds
# Byte of the header; the next one is for readers.  Source: SQLite's file format, 1.3.3.
WRITE_VERSION = 18


@dataclass(frozen=True)
class Inventory:
    """What a store that was verified holds.  models: their facts."""

    people: int
    photos: int
    models: list[dict[str, Any]]

    def __str__(self) -> str:
        networks = ", ".join(str(facts.get("network", "unknown"))[:16] for facts in self.models)
        return f"{self.people} people, {self.photos} photos, network {networks or 'none'}"


def backup(store: Path, target: Path) -> Inventory:
    """Copy a store, as it is at one moment, into a file that appears whole; return what it holds.

    A service may use the store meanwhile.  The copy is one file, of which its owner alone may read.
    Raises FileNotFoundError, or ValueError if the store is damaged or the target is the store.
    """
    if target.exists() and target.samefile(store):
        raise ValueError(f"{target}: is the store itself; name another file")
    real, of_store = os.path.realpath(target), os.path.realpath(store)
    if real in {of_store + ending for ending in (*SIDE_FILES, LOCK)}:
        raise ValueError(f"{target}: belongs to the store, which it would destroy; name another")
    if target.exists() and not target.is_file():
        raise ValueError(f"{target}: is no file")
    with replace_path(target) as part:
        part.chmod(0o600)
        _copy(store, part, named=target)
        return verify(part, named=store)


def verify(path: Path, *, named: Path | None = None) -> Inventory:
    """Return what a store or a backup holds, after looking at every page and row of it.

    Raises FileNotFoundError, or ValueError that says what is damaged.  named: for messages.
    """
    with _open(path, named) as database, told_of(named or path):
        faults = [text for (text,) in database.execute("PRAGMA integrity_check(3)")]
        if faults != ["ok"]:
            raise ValueError(f"is damaged: {'; '.join(faults)}")
        if check_form(database) < 2:
            raise ValueError("is of the first form, or empty; a service that opens it renews it")
        models = {
            row[0]: row[1:] for row in database.execute("SELECT id, facts, probe FROM models")
        }
        rows = database.execute("SELECT id, name, embedding, model FROM photos")
        lengths: dict[int, int] = {}
        names = {_checked(*row, models, lengths) for row in rows}
        (count,) = database.execute("SELECT count(*) FROM photos").fetchone()
        found = [_facts(number, *of_model, lengths) for number, of_model in models.items()]
        return Inventory(len(names), count, found)


def _facts(number: int, facts: str, probe: bytes, lengths: dict[int, int]) -> dict[str, Any]:
    """Return the facts of a model.  Raises ValueError if its row contradicts the embeddings."""
    length = lengths.get(number, 1)
    if not isinstance(probe, bytes) or not probe or len(probe) % (4 * length):
        raise ValueError(f"is damaged: the probe of model {number} is none of {length} numbers")
    return _json(facts, f"the facts of model {number}")


def _json(text: object, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"is damaged: {what} are no JSON object")
    return found


def _checked(
    number: int, name: str, blob: bytes, model: int, models: dict[int, Any], lengths: dict[int, int]
) -> str:
    """Return the name of a photo's row.  Raises ValueError if the row cannot be one.

    lengths: of the embeddings before, by model.
    """
    if model not in models:
        raise ValueError(f"is damaged: photo {number} is of a model that is not there")
    try:
        is_named = checked_name(name) == name
    except (Refusal, TypeError):
        is_named = False
    if not is_named:
        raise ValueError(f"is damaged: photo {number} has no name: {name!r}")
    row = checked_embedding(number, blob, lengths.get(model))
    lengths[model] = len(row)
    return name


def restore(copy: Path, store: Path, *, replace: bool = False) -> Inventory:
    """Make a verified backup the store; return what it holds.

    replace: also where there is a store, which is gone then.  Raises ValueError if a service
    uses the store, there is one and it is not to be replaced, or the backup is damaged.
    """
    if not copy.is_file():
        raise FileNotFoundError(f"no backup {copy.absolute()}")
    if store.exists() and store.samefile(copy):
        raise ValueError(f"{copy}: is the store itself")
    store = Path(os.path.realpath(store))  # a link to it stays one
    store.parent.mkdir(parents=True, exist_ok=True)
    lock = hold(store)
    try:
        if not replace and store.exists() and store.stat().st_size:
            raise ValueError(f"{store}: there is a store already; --replace puts the backup there")
        _empty_log(store)  # it must lack nothing if this comes to no end
        with replace_path(store) as part:
            part.chmod(0o600)
            _copy(copy, part, named=store)
            found = verify(part, named=copy)
            for ending in SIDE_FILES:  # a log of another store must not be read into this one
                Path(f"{store}{ending}").unlink(missing_ok=True)
        return found
    finally:
        os.close(lock)


def audit_lines(store: Path) -> Iterator[str]:
    """Yield who changed what and when, oldest first, each as a line of JSON."""
    with _open(store) as database, told_of(store):
        if check_form(database) < 2:
            return
        for at, who, what, name, detail in database.execute(
            "SELECT at, who, what, name, detail FROM audit ORDER BY id"
        ):
            try:
                when = datetime.fromtimestamp(at, timezone.utc).isoformat()
            except (ValueError, TypeError, OverflowError, OSError):
                raise ValueError(f"is damaged: {at!r} is no time, in its audit log") from None
            detail = _json(detail, "the details of its audit log")
            line = {"at": when, "who": str(who), "what": str(what), "name": str(name), **detail}
            yield json.dumps(line, ensure_ascii=False)


def _empty_log(store: Path) -> None:
    """Bring what a killed service left in the log into the store itself, if it still is one."""
    if store.exists():
        with suppress(sqlite3.Error), closing(_connect(store)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy(store: Path, part: Path, named: Path) -> None:
    """Copy a database, as it is at one moment, into a file that needs no log beside it."""
    with _open(store) as source, told_of(named), closing(_connect(part)) as copy:
        copy.execute("PRAGMA journal_mode = MEMORY")  # nothing but the part is left by a kill
        try:
            source.backup(copy)
        except sqlite3.DatabaseError as error:
            # Whose page it was SQLite does not say: one that cannot be written is the copy's.
            with told_of(named if "full" in str(error) else store):
                raise
    with part.open("r+b") as file:
        file.seek(WRITE_VERSION)
        file.write(b"\1\1")  # not the store's, WAL


@contextmanager
def _open(path: Path, named: Path | None = None) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise FileNotFoundError(f"no store {path.absolute()}")
    with told_of(named or path), closing(_connect(path)) as database:
        yield database


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file that is there.  A store whose service was killed may have to be mended first."""
    name = f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"
    return sqlite3.connect(name, uri=True, timeout=PATIENCE, isolation_level=None)

"""The file of enrolled people: SQLite, held by one service at a time, read by others meanwhile.

What a transaction reports as done is on the disk: it survives a killed process and a power cut.
Changes go to FILE-wal first and from there to FILE, soon and at the end.  FILE.lock, which is
empty, is held by the service; who copies the store takes `arcface-serve backup`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import sqlite3
import time

from ..locks import try_lock
from .model_print import ModelPrint
from .refusal import Refusal, too_slow
from .store_form import prepare

LOCK = ".lock"
PATIENCE = 1.0  # seconds for another process that opens the file just now
BACKUP_PATIENCE = 100  # milliseconds for one that reads


class StoreError(ValueError):
    """Something is wrong with a store; the message names its file."""


class Store:
    """The database of a file, which is made if it is absent.  model_row: of the model at hand.

    Raises ValueError if the file is no such store, belongs to another network or is in use.
    """

    def __init__(self, path: str | os.PathLike, model: ModelPrint):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)  # embeddings of faces are nobody else's business
        if not self.path.is_file():
            raise ValueError(f"{path}: is no file, and cannot be a store of people")
        self._lock = hold(self.path)
        self._unlogged = False
        try:
            with told_of(self.path):
                self.database = _opened(self.path)
                try:
                    self.model_row = self._prepared(model)
                except BaseException:
                    self.database.close()
                    raise
        except BaseException:
            os.close(self._lock)
            raise

    def _prepared(self, model: ModelPrint) -> int:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            row = prepare(self.database, model)
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what a killed service left
        return row

    @contextmanager
    def changing(self, deadline: float) -> Iterator[sqlite3.Connection]:
        """Yield the database in a transaction: all of the block is stored, or nothing.

        deadline: time.monotonic() until which it may begin to be stored.  Raises Refusal: 503
        after it, 507 if the store cannot be written.
        """
        try:
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
                if time.monotonic() > deadline:
                    raise too_slow()
                self.database.execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise Refusal(507, "store_failed", f"the store cannot be written: {error}") from None
        self._unlogged = True

    def empty_log(self) -> None:
        """Bring changes from the log into the file and empty it, unless a backup reads just now."""
        if not self._unlogged:
            return
        try:
            self.database.execute(f"PRAGMA busy_timeout = {BACKUP_PATIENCE}")
            (is_busy, *_) = self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return  # tried again soon, and at the end
        finally:
            self.database.execute(f"PRAGMA busy_timeout = {round(1000 * PATIENCE)}")
        self._unlogged = bool(is_busy)

    def close(self) -> None:
        """Empty the log, and let others have the file.  A second call does nothing."""
        if self._lock < 0:
            return
        self.database.close()
        os.close(self._lock)
        self._lock = -1


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=PATIENCE, check_same_thread=False, isolation_level=None
    )
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA secure_delete = ON")  # a deleted face leaves no bytes
    return database


def hold(path: Path) -> int:
    """Return the descriptor of FILE.lock, held, whatever links lead to FILE.

    Raises ValueError while a service holds it.
    """
    lock = f"{os.path.realpath(path)}{LOCK}"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    if try_lock(descriptor) is False:
        os.close(descriptor)
        raise ValueError(f"{path}: is locked; does another process serve this store?")
    return descriptor


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """Turn what is wrong with a store into a StoreError that names the file."""
    try:
        yield
    except StoreError:
        raise
    except sqlite3.OperationalError as error:
        hint = "; does another process serve this store?" if "locked" in str(error) else ""
        raise StoreError(f"{path}: {error}{hint}") from None
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path}: not a store of people ({error})") from None
    except UnicodeDecodeError:
        raise StoreError(f"{path}: not a store of people (a text in it is not UTF-8)") from None
    except ValueError as error:
        raise StoreError(f"{path}: {error}") from None

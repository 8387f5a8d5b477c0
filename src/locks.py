"""Locks that end with the process that holds them, whatever ends it: flock on an open file.

They hold between containers that share a file system.  Where a file system knows no locks
nobody waits, and nobody is taken for dead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import errno
import fcntl
import os
import time

PAUSE = 0.02  # seconds between two looks at a lock that another process holds


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file: True when it is ours, False while another holds it, None where there
    are no locks.  Closing the file, or the end of the process, gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_at(descriptor: int, path: str | os.PathLike) -> bool:
    """Return whether path still names the open file: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116
    except FileNotFoundError:
        return False


@contextmanager
def left_behind(path: str | os.PathLike) -> Iterator[bool | None]:
    """Yield whether the process that held this file is gone; then the block may remove it.

    None: nobody can say, there are no locks here.  In the block nobody else gets the lock.
    """
    try:
        descriptor = _open_to_lock(path)
    except OSError:
        yield False  # gone itself, or not ours to touch
        return
    try:
        is_free = try_lock(descriptor)
        yield is_free and is_at(descriptor, path)
    finally:
        os.close(descriptor)


def _open_to_lock(path: str | os.PathLike) -> int:
    try:
        return os.open(path, os.O_RDWR)  # some file systems lock only what can be written
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EROFS, errno.EISDIR):
            raise
        return os.open(path, os.O_RDONLY)


@contextmanager
def locked(
    path: str | os.PathLike, patience: float, waiting: Callable[[], None] = lambda: None
) -> Iterator[int]:
    """Yield the descriptor of the file `path`, made if it is absent, that this process alone holds.

    The file stays; who removes it does so inside the block.  waiting() is called once if
    another process holds it.  Raises TimeoutError after `patience` seconds.
    """
    deadline, is_told = time.monotonic() + patience, False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_held = try_lock(descriptor) is False
            if not is_held and is_at(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)
        if not is_held:
            continue  # its holder removed it between our two calls
        if not is_told:
            is_told = True
            waiting()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path}: another process has held it for {patience:g} seconds")
        time.sleep(PAUSE)

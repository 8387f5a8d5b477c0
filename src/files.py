"""Files that appear under their name only when they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import threading
from typing import IO, Any


@contextmanager
def replace_file(
    path: str | os.PathLike, mode: str = "wb", *, sync: bool = True, **options: Any
) -> Iterator[IO]:
    """Yield a file that becomes `path` when the block ends well.

    It is written beside as NAME.part-PID, flushed to the disk and renamed.  If the block
    raises (a full disk included) the part is removed and the old file stays as it was.
    The folder is made if it is absent.  Without sync the flush is left to the system.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part-{os.getpid()}-{threading.get_ident()}")
    try:
        with part.open(mode, **options) as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        part.replace(path)
        if sync:
            _sync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system lets a folder be synced."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

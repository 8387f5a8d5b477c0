"""A folder that appears under its name only when all that belongs into it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import tempfile


@contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a folder beside `path`, which becomes it when the block ends well, else is removed.

    path: absent, or an empty folder, into which all is moved then (it may be somebody's working
    directory, or a mount).  Raises FileExistsError if it is neither.
    """
    path = Path(path)
    is_there = path.is_dir()
    if path.exists() and not (is_there and not any(path.iterdir())):
        raise FileExistsError(f"{path}: is there already; give a folder that is absent or empty")
    beside = path.resolve()
    beside.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{beside.name}.part-", dir=beside.parent))
    try:
        part.chmod(0o777 & ~_umask())
        yield part
        if is_there:
            for entry in sorted(part.iterdir()):
                shutil.move(entry, path / entry.name)
            part.rmdir()
        else:
            part.rename(beside)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask

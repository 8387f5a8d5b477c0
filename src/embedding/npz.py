"""Arrays out of .npz files that others made: no pickles, and none that grows out of all bounds.

Source: numpy.lib.npyio, a zip archive of .npy files.
"""

from __future__ import annotations

import lzma
import os
from pathlib import Path
import struct
import zipfile
import zlib

import numpy as np

from ..limits import shown

MOST_GROWTH = 1 << 10  # of a member that is compressed: deflate's own limit
FREE = 1 << 30  # bytes of all arrays together, that grow so much
MOST_LARGE_GROWTH = 32  # of more: zeros, not vectors or names
# What zipfile, zlib and numpy raise over damaged archives.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError,
    ValueError, TypeError, KeyError, OSError, EOFError, MemoryError, SyntaxError, OverflowError,
)  # fmt: skip


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name.

    Raises FileNotFoundError, or ValueError for a file that is damaged, holds objects, or whose
    arrays are far larger than its bytes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file of arrays {path.absolute()}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                if member.file_size > MOST_GROWTH * (member.compress_size + 4096):
                    raise ValueError(f"{shown(member.filename)} of {member.file_size} bytes")
            size = sum(member.file_size for member in members)
            if size > max(FREE, MOST_LARGE_GROWTH * path.stat().st_size):
                raise ValueError(f"arrays of {size} bytes, far more than the file has")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, UnicodeDecodeError):
            reason = "a name in it is not UTF-8"
        raise ValueError(f"{path}: not a .npz file that can be read: {shown(reason)}") from None

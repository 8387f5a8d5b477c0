"""Write and read MXNet's parameter files, `PREFIX-0001.params`.

Bytes (little endian): uint64 0x112, uint64 0, uint64 number of arrays; per array uint32
0xF993FAC9, int32 storage type 0, uint32 ndim, int64 per dimension, int32 device type 1 (CPU),
int32 device id 0, int32 type flag, the values; then uint64 number of names, per name uint64
length and its bytes.  What is written equals mx.nd.save byte for byte; it is written here
because mx.nd.save neither reports a full disk nor leaves the old file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import struct

import mxnet as mx
import numpy as np

from ..data.files import replace_file

LIST_MAGIC = 0x112
ARRAY_MAGIC = 0xF993FAC9
TYPE_FLAGS = {
    "float32": 0,
    "float64": 1,
    "float16": 2,
    "uint8": 3,
    "int32": 4,
    "int8": 5,
    "int64": 6,
}


def write_params(path: str | os.PathLike, arrays: Mapping[str, np.ndarray | mx.nd.NDArray]) -> None:
    """Write named arrays; the file appears under its name only when it is complete.

    Raises OSError that names the file if the disk is full or the folder not writable; an
    older file of that name then stays as it was.
    """
    path = Path(path)
    try:
        with replace_file(path) as file:
            file.write(struct.pack("<QQQ", LIST_MAGIC, 0, len(arrays)))
            for array in arrays.values():
                values = array.asnumpy() if isinstance(array, mx.nd.NDArray) else array
                file.write(_array_header(values))
                file.write(np.ascontiguousarray(values).data)
            file.write(struct.pack("<Q", len(arrays)))
            for name in arrays:
                raw = name.encode()
                file.write(struct.pack("<Q", len(raw)) + raw)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write checkpoint ({error.strerror}); what was saved before is untouched; "
            "free space or choose another --prefix",
            str(path),
        ) from None


def _array_header(values: np.ndarray) -> bytes:
    head = struct.pack("<IiI", ARRAY_MAGIC, 0, values.ndim)
    shape = struct.pack(f"<{values.ndim}q", *values.shape)
    return head + shape + struct.pack("<iii", 1, 0, TYPE_FLAGS[values.dtype.name])


def read_params(path: str | os.PathLike) -> dict[str, mx.nd.NDArray]:
    """Return the named arrays of a parameter file of any MXNet version, in CPU memory.

    Raises FileNotFoundError, or ValueError if the file is truncated or is something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no parameter file {path.absolute()}")
    try:
        arrays = mx.nd.load(str(path))
    except mx.MXNetError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"{path}: not a readable MXNet parameter file ({path.stat().st_size} bytes): it is "
            f"truncated or something else; copy it again ({reason})"
        ) from None
    if not isinstance(arrays, dict):
        raise ValueError(f"{path}: its arrays have no names, so this is no checkpoint")
    return arrays

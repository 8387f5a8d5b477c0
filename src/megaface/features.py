"""Feature files of the MegaFace kit: one vector per file, as OpenCV dumps a matrix.

Bytes, little-endian: int32 rows = D, int32 cols = 1, int32 stride = 4, int32 type = 5
(CV_32F), then D float32.  A file of 512 values has 2064 bytes.
Source: the published gen_megaface.py and the kit's matio reader.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import struct

import numpy as np

from ..files import replace_file
from ..limits import open_file, read_limited

HEADER = struct.Struct("<4i")
CV_32F = 5
CV_64F = 6
MAX_DIM = 1 << 20  # beyond this a header is noise


def read_feature(path: str | os.PathLike, dim: int | None = None) -> np.ndarray:
    """Return the vector of one feature file, float32 (D,).

    dim: the D that is wanted; None takes what the file says.  Raises FileNotFoundError, and
    ValueError for a file that is truncated, too long, of another type, byte order or
    dimension, or that holds NaN, infinity or nothing but zeros.
    """
    data = read_limited(path, HEADER.size + 4 * MAX_DIM, "feature file")
    fault = file_fault(data, dim)
    if fault is None:
        vector = np.frombuffer(data, "<f4", offset=HEADER.size).astype(np.float32)
        fault = vector_faults(vector[None]).get(0)
    if fault is not None:
        raise ValueError(f"{path}: {fault}")
    return vector


def write_feature(
    path: str | os.PathLike, vector: np.ndarray, *, allow_zeros: bool = False
) -> None:
    """Write one vector, float32 (D,), making its folder; it appears only when complete.

    The flush to disk is left to the system: a million flushes take hours, and a file cut
    short by a power failure is refused by every reader here.  Raises ValueError for a vector
    of another shape or type, or with NaN, infinity or (unless allowed) zeros alone.
    """
    vector = np.asarray(vector)
    if vector.ndim != 1 or vector.dtype != np.float32:
        raise ValueError(f"{path}: a feature is float32 (D,), got {vector.dtype} {vector.shape}")
    fault = vector_faults(vector[None]).get(0)
    if fault is not None and not (allow_zeros and not vector.any()):
        raise ValueError(f"{path}: {fault}")
    with replace_file(path, sync=False) as file:
        file.write(feature_bytes(vector))


def feature_bytes(vector: np.ndarray) -> bytes:
    """Return what a feature file of a vector, float32 (D,), holds."""
    return HEADER.pack(vector.size, 1, 4, CV_32F) + vector.astype("<f4").tobytes()


def read_features(
    paths: Sequence[str], dim: int, out: np.ndarray | None = None
) -> tuple[np.ndarray, dict[int, str]]:
    """Return (vectors, faults): float32 (N, D), and by position what is wrong with a file.

    Rows with a fault are zero.  One call reads all files, so keep N to a few thousand.
    """
    size = HEADER.size + 4 * dim
    blank = HEADER.pack(dim, 1, 4, CV_32F) + bytes(4 * dim)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | os.O_NONBLOCK  # no pipe is waited for
    faults: dict[int, str] = {}
    pieces = []
    for position, path in enumerate(paths):
        try:
            descriptor = os.open(path, flags)
            try:
                data = os.read(descriptor, size + 1)
            finally:
                os.close(descriptor)
        except OSError as reason:
            faults[position] = f"cannot be read: {reason.strerror}"
            pieces.append(blank)
            continue
        if len(data) != size or not data.startswith(blank[: HEADER.size]):
            faults[position] = file_fault(data, dim, Path(path).stat().st_size)
            data = blank
        pieces.append(data)
    raw = np.frombuffer(b"".join(pieces), np.uint8).reshape(len(pieces), size)
    vectors = np.empty((len(pieces), dim), np.float32) if out is None else out
    vectors[:] = raw[:, HEADER.size :].view("<f4")
    for position, fault in vector_faults(vectors).items():
        vectors[position] = 0
        faults.setdefault(position, fault)
    return vectors, faults


def feature_dim(path: str | os.PathLike) -> int:
    """Return the dimension D that the header of a feature file states, checked by its size."""
    size = Path(path).stat().st_size
    with open_file(path, "feature file") as file:
        fault = file_fault(file.read(HEADER.size), None, size)
    if fault is not None:
        raise ValueError(f"{path}: {fault}")
    return (size - HEADER.size) // 4


def file_fault(data: bytes, dim: int | None, size: int | None = None) -> str | None:
    """Return what is wrong with the bytes of a feature file, or None.

    dim: the dimension wanted, or None.  size: bytes in the file if data is only its start.
    """
    size = len(data) if size is None else size
    if size < HEADER.size:
        return f"truncated: {size} bytes, the header alone has {HEADER.size}"
    rows, cols, stride, kind = HEADER.unpack_from(data)
    if kind == CV_64F:
        return "type 6 (float64); the kit reads type 5: write float32"
    if (rows, cols, stride, kind) != (rows, 1, 4, CV_32F) or not 0 < rows <= MAX_DIM:
        if struct.unpack_from(">4i", data)[1:] == (1, 4, CV_32F):
            return "big-endian; feature files are little-endian"
        return f"header {(rows, cols, stride, kind)}, wanted (D, 1, 4, 5)"
    if size != HEADER.size + 4 * rows:
        word = "truncated" if size < HEADER.size + 4 * rows else "too long"
        return f"{word}: {size} bytes, {rows} values need {HEADER.size + 4 * rows}"
    if dim is not None and rows != dim:
        return f"{rows} values, the others have {dim}"
    return None


def vector_faults(vectors: np.ndarray) -> dict[int, str]:
    """Return by row what makes a vector useless: NaN, infinity, or zero length."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(squares) & (squares > 0)))
    return {
        int(row): "all zeros; a feature has a direction"
        if squares[row] == 0
        else "holds NaN or infinity"
        for row in bad
    }

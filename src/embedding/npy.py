"""Arrays of floats out of .npy files that others made, memory-mapped once their header is believed.

Bytes: "\\x93NUMPY", version, length of the header, the header (a Python literal: descr,
fortran_order, shape), the values.  Source: numpy.lib.format, whose reader is used.
"""

from __future__ import annotations

from collections.abc import Sequence
import io
import math
import os
from pathlib import Path
import tokenize
import warnings

import numpy as np

from ..limits import shown
from .row_store import how_far

LONGEST_HEADER = 4096  # bytes; that of an array without fields has about 120
PREFIX = 12  # bytes before the header, at most
# What numpy's reader raises over foreign bytes.
DAMAGE = (
    ValueError, TypeError, KeyError, AttributeError, EOFError, SyntaxError, OverflowError,
    RecursionError, MemoryError, tokenize.TokenError,
)  # fmt: skip


def open_npy(
    path: str | os.PathLike, *, ndim: int | Sequence[int], dtypes: Sequence[str]
) -> np.ndarray:
    """Return the array of a .npy file, read-only and memory-mapped: C order, little endian.

    ndim, dtypes: what it may have, such as 2, or (2, 3), and ("float32", "float16").
    Raises FileNotFoundError, or ValueError that says what the header says and what is wanted, or
    how many bytes the file has and how many it should have.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no store {path.absolute()}{how_far(path)}")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(PREFIX + LONGEST_HEADER)
    shape, is_fortran, dtype, offset = _header(start, path)
    kind = str(dtype) if dtype.isbuiltin else shown(str(dtype))
    counts = (ndim,) if isinstance(ndim, int) else ndim
    numbers = " or ".join(map(str, counts))
    wanted = f"{numbers} dimensions of {' or '.join(dtypes)}, little endian, in C order"
    if len(shape) not in counts or not any(
        dtype == np.dtype(name).newbyteorder("<") for name in dtypes
    ):
        raise ValueError(f"{path}: not a store: an array {shape} of {kind}; wanted are {wanted}")
    if is_fortran and sum(length > 1 for length in shape) > 1:
        raise ValueError(f"{path}: not a store: its order is Fortran's; wanted are {wanted}")
    expected = offset + math.prod(shape) * dtype.itemsize
    if size != expected:
        raise ValueError(
            f"{path}: not a store, or truncated: {size} bytes; its header says {shape} of {dtype}, "
            f"which takes {expected}"
        )
    return np.memmap(path, dtype, "r", offset, shape)


def _header(start: bytes, path: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return shape, whether the order is Fortran's, dtype, and where the values begin."""
    file = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(file)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        with warnings.catch_warnings():  # of headers that Python 2 wrote
            warnings.simplefilter("ignore")
            shape, is_fortran, dtype = readers[version](file)
    except DAMAGE as error:
        raise ValueError(
            f"{path}: not a store, or truncated: no header of a .npy file: {shown(str(error))}"
        ) from None
    # numpy takes True for a length, and lets an array have more values than can be counted.
    if not all(type(length) is int and 0 <= length < 1 << 62 for length in shape):
        raise ValueError(f"{path}: not a store: its shape is {shown(str(shape))}")
    return shape, is_fortran, dtype, file.tell()

"""Read and write MXNet's parameter files, `PREFIX-0001.params`, without MXNet.

Bytes (little endian): uint64 0x112, uint64 0, uint64 number of arrays, the arrays, uint64 number
of names, per name uint64 length and its bytes.  An array begins with uint32

0xF993FAC9  (what is written here)  int32 storage type 0, int32 ndim, int64 per dimension
0xF993FACA  the same with numpy's shapes: ndim 0 is a scalar
0xF993FAC8  uint32 ndim, int64 per dimension (no storage type)
any other   is ndim itself, uint32 per dimension (the oldest files)

and goes on with int32 device type (1 CPU), int32 device id, int32 type flag and the values.
Source: NDArray::Save, Load and LegacyLoad in MXNet's src/ndarray/ndarray.cc.

What is written equals mx.nd.save byte for byte; it is written here because mx.nd.save neither
reports a full disk nor leaves the old file alone, and read here because mx.nd.load trusts every
length that it finds and takes a second to be imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import io
import os
from pathlib import Path
import struct
from typing import Any, BinaryIO

import numpy as np

from ..files import replace_file
from ..limits import shown

LIST_MAGIC = 0x112
ARRAY_MAGIC_V1, ARRAY_MAGIC, ARRAY_MAGIC_NUMPY = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
TYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")  # by type flag
OTHER_TYPES = {7: "bool", 8: "int16", 9: "uint16", 10: "uint32", 11: "uint64", 12: "bfloat16"}
STORAGE = {1: "row_sparse", 2: "csr"}
DEVICES = {1: "cpu", 2: "gpu", 3: "cpu_pinned", 5: "cpu_shared"}
MOST_DIMENSIONS = 32  # numpy's own limit
FIELDS = {code: struct.Struct(f"<{code}") for code in "IiQq"}
LEAST_ARRAY_BYTES = 20  # the oldest form with one dimension and no values
MOST_ARRAYS = 1 << 17  # a network of 100 layers has 600
LONGEST_NAME = 4096  # bytes


def read_params(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the named arrays of a parameter file of any MXNet version, in the file's order.

    The arrays own their memory.  No more is allocated than the file has bytes.  Raises
    FileNotFoundError, or ValueError with the byte at which the file is truncated or something
    else, or which holds a form that is not read: sparse, bool or bfloat16 arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no parameter file {path.absolute()}")
    with path.open("rb") as file:
        return Reader(file, os.fstat(file.fileno()).st_size, str(path)).arrays()


def parse_params(data: bytes, source: str) -> dict[str, np.ndarray]:
    """Return the named arrays of a file's bytes.  source: where they come from, for messages."""
    return Reader(io.BytesIO(data), len(data), source).arrays()


def write_params(path: str | os.PathLike, arrays: Mapping[str, Any]) -> None:
    """Write named arrays; the file appears under its name only when it is complete.

    arrays: numpy's or MXNet's.  Raises ValueError for an array that the file cannot hold, OSError
    that names the file if the disk is full or the folder not writable; an older file of that name
    then stays as it was.
    """
    path = Path(path)
    with naming_checkpoint(path), replace_file(path) as file:
        write_arrays(file, arrays, path)


@contextmanager
def naming_checkpoint(path: Path) -> Iterator[None]:
    """Let an OSError of the block say which checkpoint could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not the system's: it says what to do
            raise
        raise OSError(
            error.errno,
            f"cannot write checkpoint ({error.strerror}); what was saved before is untouched; "
            "free space or choose another --prefix",
            str(path),
        ) from None


def write_arrays(file: BinaryIO, arrays: Mapping[str, Any], path: Path) -> None:
    """Write named arrays to an open file.  path: its name, for messages."""
    file.write(struct.pack("<QQQ", LIST_MAGIC, 0, len(arrays)))
    for name, array in arrays.items():
        values = array.asnumpy() if hasattr(array, "asnumpy") else array
        if values.dtype.name not in TYPES or not values.ndim:
            raise ValueError(
                f"{path}: {name} is {values.dtype.name} of shape {values.shape}; the file "
                f"can hold {', '.join(TYPES)} with at least one dimension"
            )
        file.write(_array_header(values))
        file.write(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
    file.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        raw = name.encode()
        file.write(struct.pack("<Q", len(raw)) + raw)


def split_params(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arg: and the aux: arrays of a parameter file, without their prefixes."""
    kinds: dict[str, dict[str, Any]] = {"arg": {}, "aux": {}}
    for key, array in arrays.items():
        kind, _, name = key.partition(":")
        if kind in kinds:
            kinds[kind][name] = array
    return kinds["arg"], kinds["aux"]


def named_params(arg_params: Mapping[str, Any], aux_params: Mapping[str, Any]) -> dict[str, Any]:
    """Return both kinds of parameters under the names they have in a file."""
    named = {f"arg:{name}": array for name, array in arg_params.items()}
    return named | {f"aux:{name}": array for name, array in aux_params.items()}


def _array_header(values: np.ndarray) -> bytes:
    head = struct.pack("<IiI", ARRAY_MAGIC, 0, values.ndim)
    shape = struct.pack(f"<{values.ndim}q", *values.shape)
    return head + shape + struct.pack("<iii", 1, 0, TYPES.index(values.dtype.name))


class Reader:
    """The fields of one file, each checked before it is believed."""

    def __init__(self, file: BinaryIO, size: int, source: str):
        self._file, self._size, self._source = file, size, source
        self._offset = self._at = 0  # what is read next; where the field in question begins

    def arrays(self) -> dict[str, np.ndarray]:
        self._expect(self._number("Q", "the magic number") == LIST_MAGIC, "0x112")
        self._expect(self._number("Q", "the reserved field") == 0, "0")
        count = self._number("Q", "the number of arrays")
        self._expect(count * LEAST_ARRAY_BYTES <= self._left, "no more arrays than fit the file")
        self._expect(count <= MOST_ARRAYS, f"at most {MOST_ARRAYS} arrays, not {count}")
        arrays = [self._array() for _ in range(count)]
        names = self._number("Q", "the number of names")
        if count and not names:
            raise ValueError(f"{self._source}: its arrays have no names, so this is no checkpoint")
        self._expect(names == count, f"{count} names for {count} arrays")
        found: dict[str, np.ndarray] = {}
        for array in arrays:
            name = self._name()
            self._expect(name not in found, f"another name than {shown(name)}, which is taken")
            found[name] = array
        self._at = self._offset
        self._expect(not self._left, f"the end, not {self._left} more bytes")
        return found

    def _array(self) -> np.ndarray:
        shape = self._shape()
        device = self._number("i", "the device type")
        self._expect(device in DEVICES, f"a device type of {sorted(DEVICES)}")
        self._number("i", "the device id")
        flag = self._number("i", "the type flag")
        if flag in OTHER_TYPES:
            raise self._refusal(f"an array of {OTHER_TYPES[flag]}")
        self._expect(0 <= flag < len(TYPES), f"a type flag 0..{len(TYPES) - 1}")
        dtype = np.dtype(TYPES[flag]).newbyteorder("<")
        size = dtype.itemsize
        for dimension in shape:
            size *= dimension
        self._claim(size, f"values of shape {shape}")
        return self._values(shape, dtype, size)

    def _values(self, shape: tuple[int, ...], dtype: np.dtype, size: int) -> np.ndarray:
        try:
            array = np.empty(shape, dtype)
        except ValueError:  # no values, but dimensions whose product numpy cannot hold
            raise self._fault(f"a shape that numpy can hold, not {shape}") from None
        if size and self._file.readinto(array.reshape(-1).view(np.uint8).data) != size:
            raise self._fault(f"{size} bytes of values")  # the file shrank meanwhile
        return array.astype(dtype.newbyteorder("="), copy=False)

    def _shape(self) -> tuple[int, ...]:
        magic = self._number("I", "the start of an array")
        if magic in (ARRAY_MAGIC, ARRAY_MAGIC_NUMPY):
            storage = self._number("i", "the storage type")
            if storage in STORAGE:
                raise self._refusal(f"an array in the sparse form {STORAGE[storage]}")
            self._expect(storage == 0, "storage type 0 (dense)")
        is_old = magic not in (ARRAY_MAGIC_V1, ARRAY_MAGIC, ARRAY_MAGIC_NUMPY)
        ndim = magic if is_old else self._number("i", "the number of dimensions")
        least = 0 if magic == ARRAY_MAGIC_NUMPY else 1
        self._expect(
            least <= ndim <= MOST_DIMENSIONS, f"an array of {least}..{MOST_DIMENSIONS} dimensions"
        )
        shape = tuple(
            self._number("I" if is_old else "q", f"dimension {axis}") for axis in range(ndim)
        )
        self._expect(min(shape, default=0) >= 0, f"dimensions of 0 or more, not {shape}")
        return shape

    def _name(self) -> str:
        length = self._number("Q", "the length of a name")
        raw = self._bytes(length, "a name")
        self._expect(length <= LONGEST_NAME, f"a name of at most {LONGEST_NAME} bytes")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._fault("a name in UTF-8") from None

    @property
    def _left(self) -> int:
        return self._size - self._offset

    def _number(self, code: str, what: str) -> int:
        field = FIELDS[code]
        return field.unpack(self._bytes(field.size, what))[0]

    def _bytes(self, size: int, what: str) -> bytes:
        self._claim(size, what)
        raw = self._file.read(size)
        if len(raw) != size:
            raise self._fault(f"{size} bytes, {what}")  # the file shrank meanwhile
        return raw

    def _claim(self, size: int, what: str) -> None:
        """Check that the file has so many more bytes, before anything is made to hold them."""
        self._at = self._offset
        self._expect(size <= self._left, f"{size} bytes, {what}")
        self._offset += size

    def _expect(self, is_right: bool, what: str) -> None:
        if not is_right:
            raise self._fault(what)

    def _fault(self, what: str) -> ValueError:
        return ValueError(
            f"{self._source}: not a readable MXNet parameter file: at byte {self._at} of "
            f"{self._size} expected {what}; it is truncated or something else; copy it again"
        )

    def _refusal(self, what: str) -> ValueError:
        return ValueError(
            f"{self._source}: {what} at byte {self._at}; parameters are dense arrays of "
            f"{', '.join(TYPES)}: save them so with MXNet"
        )

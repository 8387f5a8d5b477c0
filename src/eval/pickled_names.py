"""The names that a pair set's pickle may hold, as small parsers: no object of theirs is made.

_codecs.encode to "latin1"                  bytes written by Python 3 with protocol 2
bytes, bytearray                            an empty one of these, and what Python 2 and 3 write
numpy.core.multiarray._reconstruct, scalar,
numpy.ndarray, numpy.dtype,
numpy.core.numeric._frombuffer              arrays as cv2.imencode returns them, of byte strings,
                                            of pixels, and flags
"""

from __future__ import annotations

from collections.abc import Callable
import math
import re
from typing import Any

import numpy as np

from ..limits import shown

HOSTILE = (
    "a pair set holds images and flags only; the file may be hostile, so nothing of it was run. "
    "Do not open it with pickle.load"
)
# Kinds of numpy's numbers that can be images, pixels or flags, in bytes.
KINDS = {"b1": 1, "u1": 1, "i1": 1, "u2": 2, "i2": 2, "u4": 4, "i4": 4, "u8": 8, "i8": 8,
         "f2": 2, "f4": 4, "f8": 8}  # fmt: skip
STRINGS = re.compile("S([0-9]{1,9})")  # byte strings of one length, zeros at their ends
SHORTEST_IMAGE = 16  # bytes; shorter strings would be many more than the file has bytes for
OBJECTS = ("O", "O4", "O8")


class ForbiddenPickle(ValueError):
    """The pickle asks for something that a pair set never needs."""


class DtypeName:
    """A numpy dtype in the pickle: only its short name, such as "u1", and its byte order."""

    def __init__(self, name: Any):
        if not isinstance(name, str | bytes):
            raise ForbiddenPickle(f"numpy.dtype of {shown(name)}; {HOSTILE}")
        self.name = name.decode("latin1") if isinstance(name, bytes) else name
        self.is_big = False

    def set_state(self, state: Any) -> None:
        is_state = isinstance(state, tuple) and len(state) >= 2
        self.is_big = self.is_big or (is_state and state[1] in (">", b">"))


class ArrayBytes:
    """A numpy array in the pickle: the raw bytes, their kind ("u1") and the shape, nothing else;
    of an array of objects, those that images and flags can be."""

    def __init__(self) -> None:
        self.payload = b""
        self.kind = ""
        self.shape: tuple[int, ...] = ()
        self.is_fortran = False
        self._items: list | None = None
        self._string_size = 0

    def fill(self, kind: Any, payload: Any, shape: Any = None, order: Any = False) -> ArrayBytes:
        if isinstance(kind, DtypeName) and self._fill_items(kind.name, payload):
            return self
        if not isinstance(kind, DtypeName) or kind.name not in KINDS or kind.is_big:
            name = kind.name if isinstance(kind, DtypeName) else kind
            raise ForbiddenPickle(f"array of type {shown(name)}; {HOSTILE}")
        if not isinstance(payload, bytes):
            raise ForbiddenPickle(f"array whose content is a {type(payload).__name__}; {HOSTILE}")
        size = KINDS[kind.name]
        shape = (len(payload) // size,) if shape is None else shape
        is_shape = isinstance(shape, tuple) and all(type(length) is int for length in shape)
        if not is_shape or len(shape) > 32 or min(shape, default=1) < 0:
            raise ValueError(f"an array of shape {shown(shape)}")
        if math.prod(shape) * size != len(payload):
            raise ValueError(f"an array {shape} of {kind.name} with {len(payload)} bytes")
        self.payload, self.kind, self.shape = payload, kind.name, shape
        self.is_fortran = order in (True, "F", b"F")
        return self

    def _fill_items(self, kind: str, payload: Any) -> bool:
        """Take the content of an array of byte strings or objects; return whether it is one."""
        strings = STRINGS.fullmatch(kind)
        if strings and isinstance(payload, bytes):
            self._string_size = int(strings[1])
            if self._string_size < SHORTEST_IMAGE or len(payload) % self._string_size:
                raise ValueError(f"an array of {kind} with {len(payload)} bytes")
            self.payload = payload
        elif (
            kind in OBJECTS
            and isinstance(payload, list)
            and all(isinstance(item, bytes | ArrayBytes | int) for item in payload)
        ):
            self._items = payload
        else:
            return False
        self.kind = kind
        return True

    def listed(self) -> list | None:
        """Return the byte strings or objects of an array of these, None for one of numbers."""
        if not self._string_size:
            return self._items
        starts = range(0, len(self.payload), self._string_size)
        return [self.payload[at : at + self._string_size].rstrip(b"\0") for at in starts]

    def values(self) -> np.ndarray:
        """Return the numbers of the array, (N,), as they lie.

        Raises ValueError if it was not filled.
        """
        if not self.kind:
            raise ValueError("an array without its numbers")
        return np.frombuffer(self.payload, f"<{self.kind.replace('b', 'u')}")

    def numbers(self) -> np.ndarray:
        """Return the array of numbers in its shape."""
        return self.values().reshape(self.shape, order="F" if self.is_fortran else "C")

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ForbiddenPickle(f"setting the state of an array to {shown(state)}; {HOSTILE}")
        self.fill(state[2], state[4], state[1], state[3])


class Name:
    """A name that may stand in the pickle, with what a call of it gives (None: not callable)."""

    def __init__(self, call: Callable[..., Any] | None = None):
        self.call = call


def _encode(text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1", b"latin1", b"latin-1") or not isinstance(text, str):
        raise ForbiddenPickle(f"_codecs.encode to {shown(encoding)}; {HOSTILE}")
    return text.encode("latin1")


def _reconstruct(*_: Any) -> ArrayBytes:
    return ArrayBytes()


def _frombuffer(payload: Any, kind: Any, shape: Any = None, order: Any = "C") -> ArrayBytes:
    return ArrayBytes().fill(kind, payload, shape, order)


def _scalar(kind: Any, payload: Any) -> bool | int | float | bytes:
    if isinstance(kind, DtypeName) and STRINGS.fullmatch(kind.name) and isinstance(payload, bytes):
        return payload
    array = ArrayBytes().fill(kind, payload, ())
    return bool(payload[0]) if array.kind == "b1" else array.values()[0].item()


def _no_bytes() -> bytes:
    return b""


def _bytearray(content: Any = b"", encoding: Any = "latin1") -> bytes:
    return content if isinstance(content, bytes) else _encode(content, encoding)


def _dtype(name: Any, *_: Any) -> DtypeName:
    return DtypeName(name)


ENCODE, BYTEARRAY = Name(_encode), Name(_bytearray)
NAMES = {
    ("_codecs", "encode"): ENCODE,
    ("__builtin__", "bytes"): Name(_no_bytes),
    ("builtins", "bytes"): Name(_no_bytes),
    ("__builtin__", "bytearray"): BYTEARRAY,
    ("builtins", "bytearray"): BYTEARRAY,
    ("numpy", "ndarray"): Name(),
    ("numpy", "dtype"): Name(_dtype),
    **{
        (f"numpy.{core}.{module}", name): Name(call)
        for core in ("core", "_core")
        for module, name, call in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
}


def printable(part: Any) -> str:
    """Return a part of a name as a message can hold it."""
    text = part if isinstance(part, str) else shown(part)
    return text[:80].encode("unicode_escape").decode()


def described(value: Any) -> str:
    """Return what a value is, by its name in the pickle if it has one."""
    for (module, name), entry in NAMES.items():
        if entry is value:
            return f"{module}.{name}"
    return f"a {type(value).__name__}"

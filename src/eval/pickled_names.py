"""The names that a pair set's pickle may hold, as small parsers: no object of theirs is made.

_codecs.encode to "latin1"                  bytes written by Python 3 with protocol 2
bytes                                       an empty one of these
numpy.core.multiarray._reconstruct, scalar,
numpy.ndarray, numpy.dtype,
numpy.core.numeric._frombuffer              arrays as cv2.imencode returns them, and flags
"""

from __future__ import annotations

from collections.abc import Callable
import math
from typing import Any

import numpy as np

from ..limits import shown

HOSTILE = (
    "a pair set holds images and flags only; the file may be hostile, so nothing of it was run. "
    "Do not open it with pickle.load"
)
# Kinds of numpy's numbers that can be images or flags, in bytes.
KINDS = {"b1": 1, "u1": 1, "i1": 1, "u2": 2, "i2": 2, "u4": 4, "i4": 4, "u8": 8, "i8": 8}


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
    """A numpy array in the pickle: the raw bytes, their kind ("u1") and the shape, nothing else."""

    def __init__(self) -> None:
        self.payload = b""
        self.kind = ""
        self.shape: tuple[int, ...] = ()

    def fill(self, kind: Any, payload: Any, shape: Any = None) -> ArrayBytes:
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
        return self

    def values(self) -> np.ndarray:
        """Return the numbers of the array, (N,)."""
        return np.frombuffer(self.payload, f"<{self.kind.replace('b', 'u')}")

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ForbiddenPickle(f"setting the state of an array to {shown(state)}; {HOSTILE}")
        self.fill(state[2], state[4], state[1])


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


def _frombuffer(payload: Any, kind: Any, shape: Any = None, *_: Any) -> ArrayBytes:
    return ArrayBytes().fill(kind, payload, shape)


def _scalar(kind: Any, payload: Any) -> bool | int:
    array = ArrayBytes().fill(kind, payload, ())
    return bool(payload[0]) if array.kind == "b1" else int.from_bytes(payload, "little")


def _no_bytes() -> bytes:
    return b""


def _dtype(name: Any, *_: Any) -> DtypeName:
    return DtypeName(name)


ENCODE = Name(_encode)
NAMES = {
    ("_codecs", "encode"): ENCODE,
    ("__builtin__", "bytes"): Name(_no_bytes),
    ("builtins", "bytes"): Name(_no_bytes),
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

"""Reading the pickle of a pair set as data: nothing in the file can call anything.

The unpickler knows only the opcodes that build lists, tuples, flags and strings.  The six
names that published packers leave in a file stand for small parsers here, never for the real
objects:

    _codecs.encode                              bytes written by Python 3 with protocol 2
    numpy.core.multiarray._reconstruct,
    numpy.ndarray, numpy.dtype,
    numpy.core.numeric._frombuffer              uint8 arrays as cv2.imencode returns them
    _codecs.encode's "latin1"                   the only encoding allowed

An opcode or a name beyond these is refused before anything is done with it.
"""

from __future__ import annotations

import pickle
import pickletools
from typing import Any

HOSTILE = (
    "a pair set holds images and flags only; the file may be hostile, so nothing of it was run. "
    "Do not open it with pickle.load"
)


class ForbiddenPickle(ValueError):
    """The pickle asks for something that a pair set never needs."""


class ImageArray:
    """A numpy array in the pickle: keeps the raw bytes, knows nothing else."""

    def __init__(self) -> None:
        self.payload: bytes | None = None
        self.kind = ""

    def fill(self, kind: Any, payload: Any) -> ImageArray:
        if not isinstance(kind, Dtype) or kind.name not in ("u1", "b1"):
            raise ForbiddenPickle(f"array of type {getattr(kind, 'name', kind)!r}; {HOSTILE}")
        if not isinstance(payload, bytes | bytearray):
            raise ForbiddenPickle(f"array whose content is a {type(payload).__name__}; {HOSTILE}")
        self.payload, self.kind = bytes(payload), kind.name
        return self


class Dtype:
    """A numpy dtype in the pickle: only its short name, such as "u1"."""

    def __init__(self, name: Any):
        self.name = name.decode("latin1") if isinstance(name, bytes) else str(name)


def _encode(text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", "latin-1", b"latin1", b"latin-1") or not isinstance(text, str):
        raise ForbiddenPickle(f"_codecs.encode to {encoding!r}; {HOSTILE}")
    return text.encode("latin1")


def _reconstruct(*_: Any) -> ImageArray:
    return ImageArray()


def _frombuffer(payload: Any, kind: Any, *_: Any) -> ImageArray:
    return ImageArray().fill(kind, payload)


def _dtype(name: Any, *_: Any) -> Dtype:
    return Dtype(name)


class _Name:
    """A name that may stand in the pickle, with what a call of it gives (None: not callable)."""

    def __init__(self, call: Any = None):
        self.call = call


_NAMES = {
    ("_codecs", "encode"): _Name(_encode),
    ("numpy", "ndarray"): _Name(),
    ("numpy", "dtype"): _Name(_dtype),
    ("numpy.core.multiarray", "_reconstruct"): _Name(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): _Name(_reconstruct),
    ("numpy.core.numeric", "_frombuffer"): _Name(_frombuffer),
    ("numpy._core.numeric", "_frombuffer"): _Name(_frombuffer),
}

_PLAIN_OPCODES = """
    PROTO FRAME MARK STOP POP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1
    EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
"""


def _refuse(code: int, name: str) -> Any:
    def refuse(unpickler: Any) -> None:
        raise ForbiddenPickle(f"opcode {name} (byte {code:#04x}); {HOSTILE}")

    return refuse


class PairSetUnpickler(pickle._Unpickler):  # the pure Python one: its opcodes can be chosen
    """Loads a pickle made of lists, tuples, flags, strings, bytes and uint8 arrays."""

    dispatch = {
        ord(opcode.code): (
            pickle._Unpickler.dispatch[ord(opcode.code)]
            if opcode.name in _PLAIN_OPCODES.split()
            else _refuse(ord(opcode.code), opcode.name)
        )
        for opcode in pickletools.opcodes
    }

    def __init__(self, file: Any):
        super().__init__(file, encoding="bytes", fix_imports=False)

    def find_class(self, module: Any, name: Any) -> _Name:
        try:
            return _NAMES[(module, name)]
        except (KeyError, TypeError):
            raise ForbiddenPickle(f"the name {module}.{name}; {HOSTILE}") from None

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        name = self.stack[-1]
        if not isinstance(name, _Name) or name.call is None or not isinstance(arguments, tuple):
            raise ForbiddenPickle(f"a call of {_describe(name)}; {HOSTILE}")
        self.stack[-1] = name.call(*arguments)

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, ImageArray) and isinstance(state, tuple) and len(state) == 5:
            target.fill(state[2], state[4])
        elif not isinstance(target, Dtype):
            raise ForbiddenPickle(f"setting the state of {_describe(target)}; {HOSTILE}")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.GLOBAL[0]] = pickle._Unpickler.load_global
    dispatch[pickle.STACK_GLOBAL[0]] = pickle._Unpickler.load_stack_global


def _describe(value: Any) -> str:
    for (module, name), entry in _NAMES.items():
        if entry is value:
            return f"{module}.{name}"
    return f"a {type(value).__name__}"

"""Reading the pickle of a pair set as data: nothing in the file can call anything.

A machine of our own for the opcodes that build lists, tuples, flags, strings and arrays; no
opcode copies what is there already, so what comes out is no larger than the file and its number
of opcodes allow.  An opcode, or a name beyond those of pickled_names.py, is refused before
anything is done with it.  Source: the opcodes of Python's pickletools.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import pickletools
import struct
from typing import Any, ClassVar

from ..limits import check_count, shown
from .pickled_names import (
    BYTEARRAY,
    ENCODE,
    HOSTILE,
    NAMES,
    ArrayBytes,
    DtypeName,
    ForbiddenPickle,
    Name,
    described,
    printable,
)

MOST_OPCODES = 6_000_000  # an image takes up to ten
NEWEST_PROTOCOL = 5
LONGEST_LINE = 1 << 30  # bytes of an image in a pickle of protocol 0
LONGEST_NUMBER = 24  # characters, or bytes


def load_pair_pickle(data: bytes) -> Any:
    """Return what a pickle holds: lists, tuples, flags, numbers, str, bytes, ArrayBytes.

    Raises ForbiddenPickle for an opcode or a name that a pair set never needs; ValueError with
    the byte for what is damaged, or has more opcodes than MOST_OPCODES.
    """
    return run_machine(PickleMachine(data))


def run_machine(machine: PickleMachine) -> Any:
    """Return what a machine makes of its pickle; its faults as load_pair_pickle() raises them."""
    try:
        return machine.run()
    except ForbiddenPickle:
        raise
    except UnicodeError:
        raise ValueError(f"at byte {machine.at}: text that does not decode") from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        if isinstance(error, UnicodeError):
            reason = "a text that its encoding does not allow"
        raise ValueError(f"at byte {machine.at}: {reason[:200]}") from None


class PickleMachine:
    """One run through a pickle: at is where its last opcode stands, place where it goes on.

    A reader of other pickles has opcodes, names, hostile, reduce() and build() of its own.
    """

    opcodes: ClassVar[Mapping[int, Callable[[PickleMachine], Any]]] = {}  # by byte; at the end
    names: ClassVar[Mapping[tuple[str, str], Any]] = NAMES
    hostile = HOSTILE

    def __init__(self, data: bytes):
        self.data, self.at, self.place = data, 0, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0  # bytes made of text

    def run(self) -> Any:
        for _ in range(MOST_OPCODES):
            self.at = self.place
            if self.place >= len(self.data):
                raise ValueError("it ends without an end")
            code = self.data[self.place]
            self.place += 1
            if code == _STOP:
                return self.stack.pop()
            known = self.opcodes.get(code)
            if known is None:
                name = _ALL_NAMES.get(code)
                if name is None:
                    raise ValueError(f"{code:#04x} is no opcode of a pickle")
                raise ForbiddenPickle(f"opcode {name} (byte {code:#04x}); {self.hostile}")
            known(self)
        raise ValueError(f"it has more than {MOST_OPCODES} opcodes")

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return value

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.place:
            raise ValueError(f"{size} bytes are announced, {len(self.data) - self.place} follow")
        self.place += size
        return self.data[self.place - size : self.place]

    def line(self, longest: int = 200) -> bytes:
        end = self.data.find(b"\n", self.place, self.place + longest + 1)
        if end < 0:
            raise ValueError(f"a line does not end within {longest} bytes")
        self.place, line = end + 1, self.data[self.place : end]
        return line

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        if mark > len(self.stack):
            raise ValueError("a mark without its stack")
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def remember(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def last_list(self) -> list[Any]:
        if not isinstance(self.stack[-1], list):
            raise ValueError(f"items are appended to {shown(self.stack[-1])}")
        return self.stack[-1]

    def push_tuple(self, size: int) -> None:
        if len(self.stack) < size:
            raise ValueError("a tuple of more than there is")
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def push_name(self, module: Any, name: Any) -> None:
        try:
            self.stack.append(self.names[(module, name)])
        except (KeyError, TypeError):
            wanted = ".".join(printable(part) for part in (module, name))
            raise ForbiddenPickle(f"the name {wanted}; {self.hostile}") from None

    def reduce(self) -> None:
        arguments = self.stack.pop()
        name = self.stack[-1]
        if not isinstance(name, Name) or name.call is None or not isinstance(arguments, tuple):
            raise ForbiddenPickle(f"a call of {described(name)}; {HOSTILE}")
        if name in (ENCODE, BYTEARRAY) and arguments and isinstance(arguments[0], str):
            # Every text stands in the file, and is encoded once.
            self.encoded += len(arguments[0])
            check_count(self.encoded, len(self.data), "text is encoded", "characters")
        self.stack[-1] = name.call(*arguments)

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, ArrayBytes | DtypeName):
            raise ForbiddenPickle(f"setting the state of {described(target)}; {HOSTILE}")
        target.set_state(state)


def _put(value: Callable[[PickleMachine], Any]) -> Callable[[PickleMachine], None]:
    """Return the opcode that pushes what value(machine) reads."""
    return lambda machine: machine.stack.append(value(machine))


def _protocol(machine: PickleMachine) -> None:
    version = machine.number("<B")
    if version > NEWEST_PROTOCOL:
        raise ValueError(f"its protocol is {version}; known are 0 to {NEWEST_PROTOCOL}")


def _integer(machine: PickleMachine) -> bool | int:
    line = machine.line(LONGEST_NUMBER)
    return line == b"01" if line in (b"00", b"01") else int(line.removesuffix(b"L"))


def _long(machine: PickleMachine) -> int:
    size = machine.number("<B")
    if size > LONGEST_NUMBER:
        raise ValueError(f"a number of {size} bytes")
    return int.from_bytes(machine.take(size), "little", signed=True)


def _quoted(machine: PickleMachine) -> bytes:
    line = machine.line(LONGEST_LINE)
    if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:]:
        raise ValueError("a string without quotes")
    # As repr() of Python 2 writes it.
    return line[1:-1].decode("unicode_escape").encode("latin1")


def _sized(layout: str, decode: Callable[[bytes], Any] = bytes) -> Callable[[PickleMachine], None]:
    return _put(lambda machine: decode(machine.take(machine.number(layout))))


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _append(machine: PickleMachine) -> None:
    item = machine.stack.pop()
    machine.last_list().append(item)


def _extend(machine: PickleMachine) -> None:
    items = machine.since_mark()
    machine.last_list().extend(items)


def _stack_global(machine: PickleMachine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.push_name(module, name)


def _global(machine: PickleMachine) -> None:
    module, name = (machine.line().decode("latin1") for _ in range(2))
    machine.push_name(module, name)


_BY_NAME: dict[str, Callable[[PickleMachine], Any]] = {
    "PROTO": _protocol,
    "FRAME": lambda machine: machine.number("<Q"),  # its content stands in line
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "POP": lambda machine: machine.stack.pop(),
    "NONE": _put(lambda machine: None),
    "NEWTRUE": _put(lambda machine: True),
    "NEWFALSE": _put(lambda machine: False),
    "INT": _put(_integer),
    "LONG": _put(_integer),
    "BININT": _put(lambda machine: machine.number("<i")),
    "BININT1": _put(lambda machine: machine.number("<B")),
    "BININT2": _put(lambda machine: machine.number("<H")),
    "LONG1": _put(_long),
    "EMPTY_LIST": _put(lambda machine: []),
    "LIST": _put(PickleMachine.since_mark),
    "APPEND": _append,
    "APPENDS": _extend,
    "EMPTY_TUPLE": _put(lambda machine: ()),
    "TUPLE": _put(lambda machine: tuple(machine.since_mark())),
    "TUPLE1": lambda machine: machine.push_tuple(1),
    "TUPLE2": lambda machine: machine.push_tuple(2),
    "TUPLE3": lambda machine: machine.push_tuple(3),
    "PUT": lambda machine: machine.remember(int(machine.line(LONGEST_NUMBER))),
    "BINPUT": lambda machine: machine.remember(machine.number("<B")),
    "LONG_BINPUT": lambda machine: machine.remember(machine.number("<I")),
    "MEMOIZE": lambda machine: machine.remember(len(machine.memo)),
    "GET": _put(lambda machine: machine.memo[int(machine.line(LONGEST_NUMBER))]),
    "BINGET": _put(lambda machine: machine.memo[machine.number("<B")]),
    "LONG_BINGET": _put(lambda machine: machine.memo[machine.number("<I")]),
    "STRING": _put(_quoted),
    "BINSTRING": _sized("<i"),
    "SHORT_BINSTRING": _sized("<B"),
    "UNICODE": _put(lambda machine: machine.line(LONGEST_LINE).decode("raw_unicode_escape")),
    "BINUNICODE": _sized("<I", _utf8),
    "SHORT_BINUNICODE": _sized("<B", _utf8),
    "BINUNICODE8": _sized("<Q", _utf8),
    "BINBYTES": _sized("<I"),
    "SHORT_BINBYTES": _sized("<B"),
    "BINBYTES8": _sized("<Q"),
    "BYTEARRAY8": _sized("<Q"),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda machine: machine.reduce(),
    "BUILD": lambda machine: machine.build(),
}
_ALL_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


def by_code(
    by_name: Mapping[str, Callable[[PickleMachine], Any]],
) -> dict[int, Callable[[PickleMachine], Any]]:
    """Return what opcodes do, known by name, by their byte."""
    return {code: by_name[name] for code, name in _ALL_NAMES.items() if name in by_name}


PickleMachine.opcodes = by_code(_BY_NAME)
_STOP = ord(".")

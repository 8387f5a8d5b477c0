"""The attributes of a node as its handler reads them: typed, and none left unread."""

from __future__ import annotations

from typing import Any

from .nodes import HARMLESS, Node

NEEDED: Any = object()  # in place of a default: the symbol must say


class Options:
    """Attributes of one node.  Each method returns one, or the default where it is left out.

    What a handler neither reads nor names in ignore() could change what the operator computes:
    check_all_read() refuses it.  use: what cannot be done then, for messages.
    """

    def __init__(self, node: Node, use: str):
        self._node, self._use = node, use
        self._unread = {
            key for key in node.texts if not key.startswith("__") and key not in HARMLESS
        }

    @property
    def num_inputs(self) -> int:
        return len(self._node.inputs)

    def integer(self, name: str, default: Any = NEEDED) -> Any:
        return self._read(name, default, _is_integer, "a whole number below 2^31")

    def integers(self, name: str, default: Any = NEEDED) -> Any:
        """Return a tuple; a single number is a tuple of one."""
        value = self._read(name, default, _is_integers, "a tuple of whole numbers below 2^31")
        return (value,) if type(value) is int else value

    def places(self, name: str) -> tuple[int | None, ...]:
        """Return a tuple of whole numbers and None, () where it is left out."""
        value = self._read(name, (), _is_places, "a tuple of whole numbers and None")
        return value if isinstance(value, tuple) else (value,)

    def axis(self, name: str, rank: int, default: Any = NEEDED) -> int:
        """Return an axis of `rank` as 0..rank-1."""
        return self._axis(name, self.integer(name, default), rank)

    def axes(self, name: str, rank: int) -> list[int]:
        """Return different axes as 0..rank-1, [] where they are left out."""
        axes = [self._axis(name, axis, rank) for axis in self.integers(name, ())]
        if len(set(axes)) < len(axes):
            raise self.refusal(f"{name} {axes}, one of them twice,")
        return axes

    def number(self, name: str, default: Any = NEEDED) -> Any:
        return self._read(name, default, lambda v: type(v) in (int, float), "a number")

    def flag(self, name: str, default: bool) -> bool:
        return bool(self._read(name, default, lambda v: v in (True, False), "True or False"))

    def word(self, name: str, default: Any = NEEDED) -> Any:
        return self._read(name, default, lambda v: isinstance(v, str), "a word")

    def ignore(self, *names: str) -> None:
        """Name attributes that play no part here."""
        self._unread -= set(names)

    def check_all_read(self) -> None:
        if self._unread:
            raise self.refusal(f"the option {', '.join(sorted(self._unread))}")

    def refusal(self, what: str) -> ValueError:
        return ValueError(
            f"{self._node.operator} {self._node.name!r}: {what} cannot be {self._use}"
        )

    def _axis(self, name: str, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            raise self.refusal(f"{name} {axis} of {rank}")
        return axis % rank

    def _read(self, name: str, default: Any, is_right: Any, what: str) -> Any:
        self._unread.discard(name)
        value = self._node.get(name, default)
        if value is NEEDED or (value is not default and not is_right(value)):
            said = f"is {self._node.texts[name]!r}" if name in self._node.texts else "is left out"
            raise ValueError(
                f"{self._node.operator} {self._node.name!r}: {name} {said}; give {what}"
            )
        return value


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < 1 << 31


def _is_integers(value: Any) -> bool:
    return all(map(_is_integer, value if isinstance(value, tuple) else (value,)))


def _is_places(value: Any) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return all(v is None or _is_integer(v) for v in values)

"""Registry: names to entries, exact, each name once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import difflib
import re
from typing import Any


class Registry:
    """Entries by exact key.  noun is what the entries are called in messages, flag the option
    that names one of them.

    registry.register("4", "arcface") decorates (or is called with) the entry;
    registry["arcface"] returns it and raises ValueError with the known keys otherwise.
    """

    def __init__(self, noun: str, flag: str = ""):
        self.noun, self.flag = noun, flag
        self._entries: dict[str, Any] = {}

    def register(self, *keys: str | int) -> Callable[[Any], Any]:
        """Return a decorator that enters its argument under every key and hands it back."""
        names = [str(key) for key in keys]

        def enter(entry: Any) -> Any:
            for name in names:
                if name in self._entries:
                    raise ValueError(f"{self.noun} {name!r} is registered twice")
                self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, key: str | int) -> Any:
        try:
            return self._entries[str(key)]
        except KeyError:
            raise ValueError(self._unknown(str(key))) from None

    def __contains__(self, key: str | int) -> bool:
        return str(key) in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> list[str]:
        """Return all keys, letters and numbers in natural order (r18 before r100)."""
        return sorted(self._entries, key=_natural)

    def keys_of(self, entry: Any) -> list[str]:
        """Return every key under which this very entry stands."""
        return [name for name in self.names() if self._entries[name] is entry]

    def _unknown(self, key: str) -> str:
        known = self.names()
        message = f"{self.flag} {key!r}: unknown {self.noun}; known: {', '.join(known)}".lstrip()
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
        near.sort(key=lambda name: abs(len(name) - len(key)))  # for r51 rather r50 than r50v1
        return message + (f"; did you mean {near[0]}?" if near else "")


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]

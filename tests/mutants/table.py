"""A fault, where it is kept, and the texts it exchanges."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRAWN = Path(__file__).with_name("drawn.json")


@dataclass(frozen=True)
class Mutant:
    """One fault: in `file` (below the root, as src/training/loop.py) `old` becomes `new`.

    old: text that the file holds exactly once.  tests: pytest's arguments of the tests that must
    fail with it.  name: what the fault is, in a few words.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self) -> str:
        """Return the file's text with the fault.

        Raises ValueError if the file does not hold the old text exactly once, or if nothing
        changes: the code has moved on, and so must this entry.
        """
        path = ROOT / self.file
        if not path.is_file():
            raise ValueError(f"{self.file} is gone; move the fault '{self.name}' or remove it")
        text = path.read_text(encoding="utf-8")
        times = text.count(self.old)
        if times != 1:
            raise ValueError(f"{self.file} holds {self.old!r} {times} times, wanted once")
        if self.old == self.new:
            raise ValueError(f"{self.file}: {self.old!r} is not changed")
        return text.replace(self.old, self.new)


def read_drawn(path: Path = DRAWN) -> list[Mutant]:
    """Return the faults that were drawn by operators, none if there is no such file yet."""
    if not path.is_file():
        return []
    entries = json.loads(path.read_text(encoding="utf-8"))
    return [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def write_drawn(mutants: list[Mutant], path: Path = DRAWN) -> None:
    """Write the drawn faults, one line of JSON per fact, so that a change reads well."""
    text = json.dumps([asdict(mutant) for mutant in mutants], indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")

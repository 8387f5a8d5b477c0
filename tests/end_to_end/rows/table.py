"""A table of flags: for each a value, and a function that asserts what it changes.

    @TRAIN.row("--lr", "0.2")
    def lr(base, given):
        assert ...

runs the command without and with the flag and hands both over.  A flag of the parser without a
row, and a row without a flag, fail test_flags.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """flags: what the row is about.  values: given after the first of them.  on: further
    arguments of both runs.  differs(base, given) asserts; given alone where alone is set, for
    a flag that a run cannot do without or that is refused."""

    flags: tuple[str, ...]
    values: tuple[object, ...]
    on: tuple[object, ...]
    more: dict[str, Any]
    differs: Callable[..., None]

    @property
    def name(self) -> str:
        return f"{self.flags[0]}-{self.differs.__name__}"


class Table:
    """The rows of one command.  name, where: of the table, and its files, for messages."""

    def __init__(self, name: str, command: str, where: str):
        self.name, self.command, self.where = name, command, where
        self.rows: list[Row] = []

    def row(
        self, *flags: str, value: object = (), on: Sequence[object] = (), **more: Any
    ) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Enter the decorated function as a row.

        value: one, or a sequence of them; () for a flag that takes none.
        """
        values = tuple(value) if isinstance(value, (tuple, list)) else (value,)

        def enter(differs: Callable[..., None]) -> Callable[..., None]:
            self.rows.append(Row(flags, values, tuple(on), more, differs))
            return differs

        return enter

    def faults(self, parser: argparse.ArgumentParser) -> Iterator[str]:
        """Yield a line for each flag without a row and each row without a flag."""
        flags = dict(shown_flags(parser))
        covered = {flag for row in self.rows for flag in row.flags}
        for flag, help_text in flags.items():
            if flag not in covered:
                yield (
                    f"{self.command} {flag} ({help_text}) has no row: add to {self.where} a "
                    f'function under @{self.name}.row("{flag}", value=VALUE) that takes the run '
                    "without and the run with the flag and asserts what the flag changes: numbers, "
                    "files or a refusal"
                )
        for flag in sorted(covered - set(flags)):
            yield f"{self.where}: the row of {flag} is about a flag that {self.command} has not"


def shown_flags(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield (name, help) of every argument that --help shows; all spellings of a flag."""
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        for name in action.option_strings or [action.dest]:
            yield name, " ".join((action.help or "").split())

"""faces.tsv: what is known of the face of each crop, kept through an interrupted run.

A line for each crop: its path, then FACTS, TAB between them, under a line of names.  While crops
are made the lines are appended to faces.tsv.running, which a finished run turns into faces.tsv.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..files import naming, replace_file
from ..text import read_text
from .aligner import FACTS

NAME = "faces.tsv"
RUNNING = "faces.tsv.running"
LARGEST_TABLE = 1 << 32  # bytes: 20 million lines
TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}
HEADER = "\t".join(("crop", *FACTS))


def read_facts(folder: Path) -> dict[str, str]:
    """Return the lines of earlier runs by the crop's path; a line that is cut off is left out."""
    found = {}
    for name in (NAME, RUNNING):
        path = folder / name
        if path.is_file():
            text = read_text(path, "table of faces", names=True, limit=LARGEST_TABLE)
            for line in text.split("\n")[:-1]:
                if line.count("\t") == len(FACTS) and line != HEADER:
                    found[line.split("\t", 1)[0]] = line
    return found


class FactsWriter:
    """Appends a line as each crop is made."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.lines = read_facts(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._running = folder / RUNNING
        self._file = self._running.open("a", **TEXT)
        if self._file.tell():
            self._file.write("\n")  # ends a line that a kill has cut off

    def add(self, crop: str, facts: dict[str, str] | None) -> None:
        """Keep what is known of a crop, given by its path; None where it is not known."""
        if facts is not None:
            self.lines[crop] = "\t".join((crop, *(facts[name] for name in FACTS)))
            with naming(self._running):
                self._file.write(self.lines[crop] + "\n")
                self._file.flush()

    def finish(self, crops: Iterable[str]) -> None:
        """Write faces.tsv with a line for each of the crops, in this order."""
        self.close()
        unknown = "\t" * len(FACTS)
        with replace_file(self._folder / NAME, "w", **TEXT) as file:
            file.write(HEADER + "\n")
            for crop in crops:
                file.write(self.lines.get(crop, crop + unknown) + "\n")
        self._running.unlink()

    def close(self) -> None:
        """Leave what was added for the next run."""
        with naming(self._running):
            self._file.close()

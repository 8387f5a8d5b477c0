"""The steps of a plan on the disk, so that a run that was killed goes on where it was.

FOLDER/work.json says what the steps depend on; FOLDER/NAME-NUMBER.npz holds a part of one.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path

import numpy as np

from ..embedding.npz import read_npz
from ..files import replace_file
from ..limits import shown
from ..text import read_json

ABOUT = "work.json"
NAMES = ("spread", "people", "merge", "duplicates")
LARGEST_ABOUT = 1 << 20  # bytes


class Stages:
    """Parts of steps that are computed once.

    facts: what the steps depend on, JSON.  anew: throw away what the folder holds of them.
    Raises ValueError for a folder of other facts.
    """

    def __init__(self, folder: Path, facts: dict, *, anew: bool = False):
        self.folder = folder
        about = folder / ABOUT
        facts = json.loads(json.dumps(facts))
        if about.is_file() and not anew:
            known = read_json(about, "note of a plan", limit=LARGEST_ABOUT)
            if known != facts:
                differing = [
                    name for name in facts
                    if not isinstance(known, dict) or known.get(name) != facts[name]
                ]  # fmt: skip
                raise ValueError(
                    f"{about}: of the work for another plan (other: "
                    f"{shown(', '.join(differing) or 'facts')}); name another folder, or give "
                    "--anew"
                )
        else:
            for name in NAMES:
                for path in folder.glob(f"{name}-[0-9][0-9][0-9][0-9][0-9].npz"):
                    path.unlink()
            with replace_file(about, "w", encoding="utf-8") as file:
                json.dump(facts, file, indent=1)

    def part(
        self, name: str, number: int, make: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Return the arrays of a part: those of the disk, or what make() returns, then kept."""
        path = self.folder / f"{name}-{number:05d}.npz"
        if path.is_file():
            try:
                return read_npz(path)
            except ValueError:
                path.unlink()  # damaged: made again
        arrays = make()
        with replace_file(path, sync=False) as file:
            np.savez(file, **arrays)
        return arrays

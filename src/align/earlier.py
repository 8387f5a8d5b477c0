"""align.json: with what options the crops of a folder were made, for the next start.

A crop that is there stays, so a start with options under which it would be another crop, or none,
is refused.  Options that only let more photos through go on from there: a second start with
--fallback box fills what the first left out.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

from ..files import replace_file
from ..limits import shown
from ..text import read_json
from .quality import QualityBounds

NAME = "align.json"
LARGEST = 1 << 16  # bytes
SAME = ("detector", "min_size", "limited", "encoding")
STRICTER = {"uncertain": "refuse", "fallback": "none"}  # option: the value that makes fewer crops


def keep_options(folder: Path, options: Mapping[str, Any], bounds: QualityBounds) -> None:
    """Write down what the crops of a folder are made with from now on.

    options: SAME and those of STRICTER.  Raises ValueError where the crops that are there were
    made with options that these do not let through.
    """
    path, now = folder / NAME, {**options, **vars(bounds)}
    if path.is_file():
        was = read_json(path, "note of earlier crops", limit=LARGEST)
        if not isinstance(was, dict):
            raise ValueError(f"{path}: not a note of earlier crops; delete it with the crops")
        if differing := [name for name in now if not _lets_through(name, was.get(name), now[name])]:
            told = ", ".join(f"--{n.replace('_', '-')} {_words(was.get(n))}" for n in differing)
            raise ValueError(
                f"{path}: the crops there were made with {told} ('None': not given), and stay as "
                "they are; name another folder, delete the crops, or give what they were made with"
            )
        if was == now:
            return
    with replace_file(path, "w", encoding="utf-8") as file:
        json.dump(now, file, indent=1)


def _words(value: Any) -> str:
    is_short = value is None or (isinstance(value, str | int | float) and len(str(value)) < 80)
    return str(value) if is_short else shown(value)


def _lets_through(name: str, was: Any, now: Any) -> bool:
    """Return whether every crop that an option made would be made by its new value too."""
    if name in SAME:
        return was == now
    if name in STRICTER:
        return was == now or now != STRICTER[name]
    if now is None or was == now:
        return True
    if not isinstance(was, int | float):
        return False
    return now <= was if name.startswith("min_") else now >= was

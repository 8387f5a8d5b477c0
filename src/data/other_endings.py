"""Images of a list under another ending than it says: an aligner writes .png for a list's .jpg."""

from __future__ import annotations

import os
from pathlib import Path

from .image_files import ENDINGS, image_fault


class ImageFinder:
    """Finds the image files that listed paths mean.  num_renamed: how many had another ending."""

    def __init__(self) -> None:
        self.num_renamed = 0
        self._by_stem: dict[Path, dict[str, list[str]]] = {}

    def find(self, path: Path) -> Path:
        """Return path itself if it is an image, else the one beside it that differs in its ending
        alone.  Raises ValueError that says why there is none."""
        fault = image_fault(path)
        if not fault:
            return path
        if fault != "missing":
            raise ValueError(fault)
        beside = self._stems(path.parent).get(_stem(path.name), [])
        found = [path.with_name(name) for name in beside]
        found = [one for one in found if not image_fault(one)]
        if len(found) > 1:
            names = ", ".join(sorted(one.name for one in found))
            raise ValueError(f"missing, and {len(found)} others could be meant: {names}")
        if not found:
            raise ValueError("missing")
        self.num_renamed += 1
        return found[0]

    def _stems(self, folder: Path) -> dict[str, list[str]]:
        """Return the names in a folder by their stem; read once."""
        if folder not in self._by_stem:
            stems: dict[str, list[str]] = {}
            for path in folder.iterdir() if folder.is_dir() else ():
                stems.setdefault(_stem(path.name), []).append(path.name)
            self._by_stem[folder] = stems
        return self._by_stem[folder]


def _stem(name: str) -> str:
    """Return a name without the ending of an image; other dots belong to the name."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - of a name, not of a path
    return stem if ending.lower() in ENDINGS else name

"""Files that hold pair sets, by the ending of their names; each registers itself in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ..registry import Registry

PUBLISHED = ".bin"


@dataclass(frozen=True)
class PairContainer:
    """How 2P encoded images and P flags, bool (P,), lie in a file.

    read(path) returns both; it raises ValueError naming the file and what is wrong with it, and
    runs no code of the file.  write(file, images, flags) writes them to an open binary file.
    """

    read: Callable[[Path], tuple[list[bytes], np.ndarray]]
    write: Callable[[IO, Sequence[bytes], np.ndarray], None]


PAIR_CONTAINERS = Registry("pair set")


def container_of(path: Path) -> PairContainer:
    """Return the container that the ending names; any other ending is the published one."""
    ending = path.suffix if path.suffix in PAIR_CONTAINERS else PUBLISHED
    return PAIR_CONTAINERS[ending]


def find_pair_set(folder: str | Path, name: str) -> Path:
    """Return the file of a pair set, in whatever container; NAME.bin where there is none."""
    published = Path(folder, name + PUBLISHED)
    others = (Path(folder, name + ending) for ending in PAIR_CONTAINERS)
    return next((path for path in (published, *others) if path.is_file()), published)

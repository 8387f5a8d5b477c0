"""Which images a noise list means: names are compared exactly, so that what matches is certain and
what does not is told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
import logging
import os
from pathlib import PurePosixPath

import numpy as np

from ..data.list_faults import all_faults, is_of_other_data, two_of_each

log = logging.getLogger(__name__)


def wrong_images(
    names: Sequence[str],
    noises: Collection[str],
    source: str | os.PathLike,
    *,
    bare: bool,
    skip: bool = False,
) -> tuple[np.ndarray, int]:
    """Return which images are wrong, bool (N,), and how many names of the noise list are of none.

    names: of the images, with /; noises: of the list, in which \\ and a beginning ./ are taken for
    what Windows and find make of the same names.  bare: a name without a folder may stand for the
    image of that name; there must be only one.  source: the noise list, for messages.
    Raises ValueError for bare names of several images and, unless skip, for a list of which
    almost nothing is known.
    """
    rows: dict[str, list[int]] = {name: [row] for row, name in enumerate(names)}
    if bare:
        of_bare: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            of_bare.setdefault(PurePosixPath(name).name, []).append(row)
        rows = of_bare | rows
    is_wrong = np.zeros(len(names), dtype=bool)
    unknown, ambiguous = [], []
    for noise in sorted(noises):
        found = rows.get(noise) or rows.get(noise.replace("\\", "/").removeprefix("./"), [])
        if len(found) > 1:
            several = ", ".join(repr(names[row]) for row in found[:2])
            ambiguous.append(f"{noise!r} is the name of {len(found)} images, such as {several}")
        elif found:
            is_wrong[found[0]] = True
        else:
            unknown.append(noise)
    if ambiguous:
        raise ValueError(all_faults(
            f"{source}: {len(ambiguous)} names could mean several images:", ambiguous,
            "write them with their folders, as the list of images does",
        ))  # fmt: skip
    if not noises:
        log.warning("%s: names no image", source)
    if not unknown:
        return is_wrong, 0
    message = (
        f"{source}: {len(unknown)} of its {len(noises)} names are of no image on the list of "
        f"{len(names)}; {two_of_each(unknown, names, ('the noise list', 'the images'))}"
    )
    if not skip and is_of_other_data(len(noises) - len(unknown), len(noises)):
        raise ValueError(
            f"{message}: both must have the same separators, endings and folders; if these images "
            "are a small part of what the noise list is for, give --skip-missing"
        )
    log.warning("%s", message)
    return is_wrong, len(unknown)

"""Many crops on one picture, to see at a glance whether they are aligned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.images import read_image

COLUMNS, ROWS = 12, 10


def contact_sheet(paths: Sequence[Path]) -> np.ndarray:
    """Return a picture, BGR uint8, of up to 120 crops, spread evenly over the paths.

    Crops smaller than the first stand in its upper left corner, larger ones are cut.
    Raises ValueError if there are none.
    """
    if not paths:
        raise ValueError("no crops to show")
    count = min(len(paths), COLUMNS * ROWS)
    chosen = [paths[i * len(paths) // count] for i in range(count)]
    crops = [read_image(path) for path in chosen]
    height, width = crops[0].shape[:2]
    sheet = np.zeros((-(-count // COLUMNS), COLUMNS, height, width, 3), np.uint8)
    for number, crop in enumerate(crops):
        crop = crop[:height, :width]
        sheet[number // COLUMNS, number % COLUMNS, : crop.shape[0], : crop.shape[1]] = crop
    return sheet.swapaxes(1, 2).reshape(len(sheet) * height, COLUMNS * width, 3)

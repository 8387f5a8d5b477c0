"""The pairs that the k-fold protocol gets wrong, and mosaics of them."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path

import cv2
import numpy as np

from ..data.images import decode_rgb
from ..files import replace_file
from .evaluation import Evaluation
from .pair_sets import PairSet

# As published: pairs side by side, four to a row.
COLUMNS = 4
HEIGHT = 112


def wrong_pairs(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Return (false accepts, false rejects) as pair numbers, the worst first.

    A pair is judged by the threshold of its own fold, so they are just those pairs that the
    FlipL2 accuracy counts as wrong.
    """
    cosines, wrong = evaluation.cosines, ~evaluation.is_right
    false_accepts = np.flatnonzero(wrong & ~evaluation.is_genuine)
    false_rejects = np.flatnonzero(wrong & evaluation.is_genuine)
    return (
        false_accepts[np.argsort(-cosines[false_accepts], kind="stable")],
        false_rejects[np.argsort(cosines[false_rejects], kind="stable")],
    )


def pair_picture(pair_set: PairSet, pair: int, height: int = HEIGHT) -> np.ndarray:
    """Return both images of a pair side by side, uint8 RGB (height, W, 3)."""
    sides = []
    for number in (2 * pair, 2 * pair + 1):
        rgb = decode_rgb(pair_set.images[number], pair_set.describe(number))
        width = round(rgb.shape[1] * height / rgb.shape[0])
        sides.append(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))
    return np.concatenate(sides, axis=1)


def write_mosaic(path: str | os.PathLike, pair_set: PairSet, pairs: Sequence[int]) -> None:
    """Write the pairs as one PNG, four to a row; nothing is written for no pairs."""
    if not len(pairs):
        return
    pictures = [pair_picture(pair_set, int(pair)) for pair in pairs]
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % COLUMNS)
    rows = [
        np.concatenate(pictures[start : start + COLUMNS], axis=1)
        for start in range(0, len(pictures), COLUMNS)
    ]
    mosaic = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    with replace_file(Path(path)) as file:
        file.write(cv2.imencode(".png", mosaic)[1].tobytes())

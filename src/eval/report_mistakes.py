"""The pairs that each model gets wrong, as pictures with names, score and threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..report.marks import named
from ..report.pictures import jpeg, picture
from ..report.svg import element, text
from .bad_cases import pair_picture, wrong_pairs
from .protocols import fold_numbers
from .report_figures import are_compared

if TYPE_CHECKING:
    from .report import Entry

MOST, LEAST = 12, 2  # pictures of each kind of mistake
ALL = 160  # pictures of a page, about: they are most of its bytes
HEIGHT = 96


def pictures_of_each(num_entries: int) -> int:
    """Return how many pictures of each kind each model on each pair set may have."""
    return max(LEAST, min(MOST, ALL // (2 * num_entries)))


def mistakes(entries: Sequence[Entry], most: int) -> str:
    """Return the worst `most` false accepts and false rejects of each model."""
    parts = []
    for number, entry in enumerate(entries):
        name = named(number, entry.name) if len(entries) > 1 else text(entry.name)
        title = element("summary", "Mistakes of ", name)
        kinds = zip(("False accepts", "False rejects"), wrong_pairs(entry.evaluation), strict=True)
        blocks = [_kind(entry, kind, pairs, most) for kind, pairs in kinds]
        parts.append(element("details", title, *blocks, open="open"))
    told = "Below each pair: its score beside the threshold of its fold, and both names."
    return element("h3", "Mistakes") + element("p", told, class_="note") + "".join(parts)


def _kind(entry: Entry, kind: str, pairs: np.ndarray, most: int) -> str:
    more = f", the worst {most}" if len(pairs) > most else ""
    head = element("h4", text(f"{kind}: {len(pairs)}{more}"))
    if not len(pairs):
        return head + element("p", "None.", class_="note")
    thresholds = _thresholds(entry)
    shown = [_pair(entry, int(pair), thresholds[pair]) for pair in pairs[:most]]
    return head + element("div", *shown, class_="pairs")


def _thresholds(entry: Entry) -> np.ndarray:
    """Return the cosine by which each pair was judged, (P,): that of its fold."""
    folds = entry.evaluation.published.per_fold
    of_pair = fold_numbers(entry.evaluation.is_genuine, len(folds))
    return np.array([fold.threshold for fold in folds])[of_pair]


def _pair(entry: Entry, pair: int, threshold: float) -> str:
    similarity = float(entry.evaluation.cosines[pair])
    sides = entry.sides(pair)
    form = ".3f" if entry.unit == "cosine" else ".4g"
    unit, signs = entry.unit, ("≥", "<")
    if unit == "−score":  # as its system gives it: lower is nearer
        unit, signs, similarity, threshold = "score", ("≤", ">"), -similarity, -threshold
    sign = signs[int(entry.evaluation.is_genuine[pair])]
    lines = [f"{unit} {similarity:{form}} {sign} {threshold:{form}}".replace("-", "−")]
    if not are_compared(entry.evaluation)[pair]:
        lines = ["not compared: no face was found"]
    names = [f"pair {pair}"] if sides is None else [_stem(side) for side in sides]
    image = ""
    if entry.pair_set is not None:
        bgr = cv2.cvtColor(pair_picture(entry.pair_set, pair, HEIGHT), cv2.COLOR_RGB2BGR)
        image = jpeg(bgr, " and ".join(names))
    if sides is not None:
        lines.append(f"pair {pair}")
    return picture(image, [*lines[:1], *names, *lines[1:]])


def _stem(path: str) -> str:
    """Return the name of a file without its ending; of a video, "person/number", all of it."""
    place = PurePath(path)
    return place.stem if place.suffix else path

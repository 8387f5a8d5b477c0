"""Threshold cards: which threshold belongs to which embedding, as a file that programs read.

A card is JSON: what was embedded by what (model fingerprint, engine, dtype, crop), on which pairs,
and for each way of joining an image with its mirror image ("none": the plain embedding, "sum",
"concat") the threshold at each FAR:

    {"format": "arcface threshold card", "version": 1, "made_by": "arcface_mxnet 0.1.0",
     "model": "models/sface-m1,0", "model_sha256": ..., "engine": "onnxruntime",
     "dtype": "float32", "input": "", "crop": [112, 112], "alignment": "published template",
     "target": "lfw", "pack_sha256": ...,
     "failures": "crop", "num_genuine": 3000, "num_impostor": 3000,
     "thresholds": {"none": [{"far": 0.001, "cosine": .., "cosine_interval": [low, high],
                              "squared_l2": .., "reached_far": .., "far_interval": [low, high],
                              "tar": .., "tar_interval": [low, high]},
                             {"far": 1e-06, "impostors_needed": 1000000}], "sum": [...]}}

Intervals hold 95 %: those of rates are Wilson's; that of a threshold is by the ranks of the
impostor scores, null where it is open.  A pair is accepted when cosine >= the threshold.  input:
what an ONNX file of others is fed, "" for networks of ours.  alignment: "published template" for
crops of a size that has one, else "unknown": crops are taken to be cut as those of the pair set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..align.template import SIZES
from ..files import replace_file
from ..limits import parse_json, read_limited, shown
from .evaluation import FARS, Evaluation, RateAtFar, rates_at_fars
from .intervals import rank_interval, wilson

FORMAT, VERSION = "arcface threshold card", 1
LARGEST = 1 << 20  # bytes of a card
NEVER = -2.0  # the cosine of what is never accepted (failures.py)


@dataclass(frozen=True)
class ThresholdCard:
    """A card as read from `path`.

    facts: "model", "model_sha256", "engine", "dtype", "input", "target", "pack_sha256" as text.
    crop: (height, width) in pixels.  thresholds: rows by "none", "sum" or "concat".
    """

    path: str
    facts: Mapping[str, str]
    crop: tuple[int, int]
    num_impostor: int
    thresholds: Mapping[str, Sequence[Mapping[str, Any]]]


def write_card(
    path: str | os.PathLike,
    evaluation: Evaluation,
    *,
    model: str,
    embedding: Mapping[str, str],
    crop: tuple[int, int],
    pack_fingerprint: str,
) -> None:
    """Write the card of one model on one pair set.

    embedding: "model" (fingerprint), "engine", "dtype", "flip" of the evaluation's cosines; its
    plain cosines are the rows "none".  crop: (height, width).
    Raises ValueError if the evaluation is of scores alone.
    """
    if evaluation.plain_cosines is None:
        raise ValueError(
            f"{path}: a threshold card is of a model's embeddings; {model} gave scores alone"
        )
    joined = {"none": evaluation.plain_cosines, embedding["flip"]: evaluation.cosines}
    flags = evaluation.is_genuine
    card = {
        "format": FORMAT,
        "version": VERSION,
        "made_by": f"arcface_mxnet {__version__}",
        "model": model,
        "model_sha256": embedding["model"],
        "engine": embedding["engine"],
        "dtype": embedding["dtype"],
        "input": embedding.get("input", ""),
        "crop": list(crop),
        "alignment": "published template" if tuple(crop) in SIZES else "unknown",
        "target": evaluation.target,
        "pack_sha256": pack_fingerprint,
        "failures": evaluation.failures.mode if evaluation.failures else "crop",
        "num_genuine": int(flags.sum()),
        "num_impostor": int((~flags).sum()),
        "thresholds": {flip: _rows(cosines, flags) for flip, cosines in joined.items()},
    }
    with replace_file(Path(path), "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(card, file, indent=1, allow_nan=False)
        file.write("\n")


def _rows(cosines: np.ndarray, is_genuine: np.ndarray) -> list[dict[str, Any]]:
    impostor = np.sort(cosines[~is_genuine])
    return [_row(rate, impostor) for rate in rates_at_fars(cosines, is_genuine, fars=FARS)]


def _row(rate: RateAtFar, impostor: np.ndarray) -> dict[str, Any]:
    if rate.point is None:
        return {"far": rate.wanted_far, "impostors_needed": rate.impostors_needed}
    accepted = round(rate.point.far * impostor.size)
    return {
        "far": rate.wanted_far,
        "cosine": rate.point.threshold,
        "cosine_interval": list(rank_interval(impostor, rate.wanted_far)),
        "squared_l2": 2 - 2 * rate.point.threshold,
        "reached_far": rate.point.far,
        "far_interval": list(wilson(accepted, impostor.size)),
        "tar": rate.point.tar,
        "tar_interval": list(rate.interval),
    }


def read_card(path: str | os.PathLike) -> ThresholdCard:
    """Return a card.  Raises FileNotFoundError, and ValueError saying what is wrong with it."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{Path(path).absolute()}: no such threshold card; {_make()}")
    data = read_limited(path, LARGEST, "threshold card")
    card = parse_json(data, str(path), "a threshold card")
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ValueError(f"{path}: is no threshold card (format {FORMAT!r}); {_make()}")
    if card.get("version") != VERSION:
        raise ValueError(
            f"{path}: a threshold card of version {shown(card.get('version'))}; this program reads "
            f"version {VERSION}; {_make()}"
        )
    names = ("model", "model_sha256", "engine", "dtype", "input", "target", "pack_sha256")
    facts = {name: card.get(name) for name in names}
    bad = [name for name, value in facts.items() if not isinstance(value, str)]
    crop, thresholds = card.get("crop"), card.get("thresholds")
    if not (isinstance(crop, list) and len(crop) == 2 and all(type(n) is int for n in crop)):
        bad.append("crop")
    if type(card.get("num_impostor")) is not int:
        bad.append("num_impostor")
    if not isinstance(thresholds, dict) or not all(map(_is_rows, thresholds.values())):
        bad.append("thresholds")
    if bad:
        raise ValueError(f"{path}: a damaged threshold card: wrong or absent: {', '.join(bad)}")
    return ThresholdCard(str(path), facts, tuple(crop), card["num_impostor"], thresholds)


def _is_rows(rows: Any) -> bool:
    """Tell whether these are rows, each of a FAR of its own."""
    is_sound = isinstance(rows, list) and all(map(_is_row, rows))
    return is_sound and len({row["far"] for row in rows}) == len(rows)


def _is_row(row: Any) -> bool:
    """Tell whether a row has a FAR, and a cosine or the impostors that it would need."""
    if not isinstance(row, dict) or not _is_number(row.get("far"), 0, 1):
        return False
    if "cosine" not in row:
        return type(row.get("impostors_needed")) is int
    if not _is_number(cosine := row["cosine"], NEVER, 1):
        return False
    distance = row.get("squared_l2", 2 - 2 * cosine)  # the same in other words
    return _is_number(distance, -1e-9, 2 - 2 * NEVER) and abs(distance - (2 - 2 * cosine)) < 1e-9


def _is_number(value: Any, low: float, high: float) -> bool:
    # A threshold that nothing reaches lies just above the greatest cosine.
    return type(value) in (int, float) and low <= value <= math.nextafter(high, math.inf)


def threshold_of(
    card: ThresholdCard,
    far: float,
    *,
    embedding: Mapping[str, str],
    flip: str,
    crop: tuple[int, int],
) -> float:
    """Return the cosine from which on two embeddings are accepted at that FAR.

    embedding: "model" (fingerprint), "dtype" and "input" of what embeds now, flip: "none", "sum" or
    "concat", crop: (height, width).
    Raises ValueError if the card was made for another embedding, or has no threshold at far; the
    message says what each of them is and what to do.
    """
    facts = card.facts
    for words, there, here in (
        ("model", facts["model_sha256"], embedding["model"]),
        ("--dtype", facts["dtype"], embedding["dtype"]),
        ("input", facts["input"], embedding.get("input", "")),
    ):
        if there != here:
            of = f"{facts['model']} ({there})" if words == "model" else there or "none declared"
            raise ValueError(
                f"{card.path}: this threshold card is of another {words}: {of}, not "
                f"{here or 'none declared'}; other embeddings have other thresholds; {_make()}"
            )
    if card.crop != tuple(crop):
        raise ValueError(
            f"{card.path}: this threshold card is of crops {card.crop[0]}x{card.crop[1]}, these "
            f"are {crop[0]}x{crop[1]} (height x width); {_make()}"
        )
    if flip not in card.thresholds:
        raise ValueError(
            f"{card.path}: this threshold card has no thresholds for --flip {_number(flip)} "
            f"({flip!r}: how an image and its mirror image become one embedding); it has "
            f"{', '.join(map(repr, card.thresholds))}; {_make()}"
        )
    return _at(card, flip, far)


def _at(card: ThresholdCard, flip: str, far: float) -> float:
    rows = {row["far"]: row for row in card.thresholds[flip]}
    there = [f"{row['far']:g}" for row in rows.values() if "cosine" in row]
    offered = f"it has {', '.join(there)}" if there else "it has none"
    row = rows.get(far)
    if row is None:
        raise ValueError(f"{card.path}: --far {far:g} is not on this threshold card; {offered}")
    if "cosine" not in row:
        raise ValueError(
            f"{card.path}: --far {far:g} needs {row['impostors_needed']:,} impostor pairs, "
            f"{card.facts['target']} has {card.num_impostor:,}; {offered}; choose one of them, or "
            "make a card from more pairs"
        )
    return float(row["cosine"])


def _number(flip: str) -> int:
    return int(flip != "none")


def _make() -> str:
    return (
        "make one of the very file and options that you deploy: arcface-verify --model MODEL "
        "--target PAIRS --card CARD.json"
    )

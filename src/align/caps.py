"""Bounds on what one photo may cost: the surest are kept, and it is said."""

from __future__ import annotations

from collections.abc import Sequence
import logging

import numpy as np

from .boxes import suppress
from .face import Face

log = logging.getLogger(__name__)

MOST_FACES = 256  # of one image
MOST_CANDIDATES = 4096, 4096  # of one image, that RNet looks at, and ONet
# The same where one photo may not hold others up: then a crowd costs little more than PNet.
FEW_CANDIDATES = 512, 192
HIDDEN = 0.7  # share of the union, as published


def most_certain(faces: Sequence[Face]) -> list[Face]:
    """Return at most MOST_FACES of the faces of an image, given best score first."""
    if len(faces) > MOST_FACES:
        log.warning("%d faces in one image: the %d of best score are taken", len(faces), MOST_FACES)
    return list(faces[:MOST_FACES])


def best_candidates(boxes: np.ndarray, scores: np.ndarray, most: int) -> np.ndarray:
    """Return the indices of the boxes (N, 4) of which none hides another, `most` at most.

    Best score first; a better box hides one that it overlaps by more than 0.7 of their union.
    """
    kept = suppress(boxes, scores, HIDDEN, most=most + 1)
    if len(kept) > most:
        log.warning(
            "more than %d places in one image may be faces: those of best score are looked at", most
        )
    return kept[:most]

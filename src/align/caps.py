"""Bounds on what one photo may cost: the surest are kept, and it is said."""

from __future__ import annotations

from collections.abc import Sequence
import logging

import numpy as np

from .face import Face

log = logging.getLogger(__name__)

MOST_FACES = 256  # of one image
MOST_CANDIDATES = 4096, 4096  # of one image, that RNet looks at, and ONet
# The same where one photo may not hold others up: 1,024 faces in 1600x1600 pixels, four turns of
# it tried, take less than a second of a core.
FEW_CANDIDATES = 512, 192


def most_certain(faces: Sequence[Face]) -> list[Face]:
    """Return at most MOST_FACES of the faces of an image, given best score first."""
    if len(faces) > MOST_FACES:
        log.warning("%d faces in one image: the %d of best score are taken", len(faces), MOST_FACES)
    return list(faces[:MOST_FACES])


def best_candidates(boxes: np.ndarray, scores: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` of the boxes (N, 4), those of best score, in their order."""
    if len(boxes) <= most:
        return boxes
    log.warning(
        "%d places in one image may be faces: the %d of best score are looked at",
        len(boxes), most,
    )  # fmt: skip
    return boxes[np.sort(np.argsort(-scores, kind="stable")[:most])]

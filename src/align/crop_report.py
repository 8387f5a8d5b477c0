"""Are these crops what a network was trained on?  Size, place, scale and colour order.

Crops that are a little wrong are the usual cause of 93 % where 99 % is published; a network
does not complain.  Each fault moves the landmarks found in the crops in its own way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .detectors import Detector
from .face import main_face
from .template import SIZES, SQUARE_SHIFT_X, template
from .trust import find_faces

# Tolerances.  Crops aligned by another good detector differ from ours by a pixel or less.
MAX_SHIFT = 2.5  # pixels, median over crops
MAX_SPREAD = 3.0  # pixels, median deviation of the single crop from that shift
MAX_SCALE_ERROR = 0.08
# Width to height of well aligned faces is 1.07 of the template's, measured on LFW; stretching
# 96 to 112 pixels makes it 1.25, the reverse 0.92.
ASPECTS = (1.0, 1.16)
MIN_FOUND = 0.9  # share of crops with a face
MIN_RED = 0.5  # share of crops redder than blue in the middle; skin is, under most lights


@dataclass(frozen=True)
class CropReport:
    """What was measured on crops of one size, (height, width).

    shift: (2,) median of landmarks less template, x and y in pixels; spread: (2,) median
    deviation of a crop from it.  scale: (2,) median size of faces along x and y, 1 is right.
    red: share of crops redder than blue; None if all are grey.  num_turned: crops whose faces lie
    on their side or stand on their head; num_uncertain: whose faces are doubted, see Face.doubts.
    faults: in words, none if all is well.
    """

    num_crops: int
    sizes: dict[tuple[int, int], int]
    num_found: int
    num_turned: int
    num_uncertain: int
    score: float
    shift: np.ndarray
    spread: np.ndarray
    scale: np.ndarray
    red: float | None
    faults: tuple[str, ...]


def check_crops(crops: Iterable[np.ndarray], detector: Detector) -> CropReport:
    """Return what is right and wrong with crops, BGR uint8 (H, W, 3).

    Landmarks are compared for the crops of the most frequent size, if it is one of SIZES;
    otherwise shift, spread and scale are nan.  A detector of min_size 40 is small enough.
    Raises ValueError if there are no crops.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    found: dict[tuple[int, int], list[tuple[np.ndarray, float]]] = {}
    reds = []
    num_turned = num_uncertain = 0
    for crop in crops:
        size = crop.shape[:2]
        sizes[size] += 1
        reds.append(_redness(crop))
        faces = find_faces(detector.detect, crop, detector.trust)
        if faces:
            face = main_face(faces, crop.shape)
            num_uncertain += face.is_uncertain
            if face.turn and not face.is_uncertain:
                num_turned += 1
                continue
            found.setdefault(size, []).append((face.landmarks, face.score))
    if not sizes:
        raise ValueError("no crops to check")
    size = sizes.most_common(1)[0][0]
    landmarks = np.array([points for points, _ in found.get(size, [])]).reshape(-1, 5, 2)
    shift, spread, scale = _place(landmarks, size)
    coloured = [red for red in reds if red != 0]
    red = float(np.mean(np.array(coloured) > 0)) if coloured else None
    num_found = num_turned + sum(map(len, found.values()))
    scores = [score for faces in found.values() for _, score in faces]
    return CropReport(
        sizes.total(),
        dict(sizes),
        num_found,
        num_turned,
        num_uncertain,
        float(np.median(scores)) if scores else float("nan"),
        shift,
        spread,
        scale,
        red,
        tuple(_faults(sizes, num_found, num_turned, shift, spread, scale, red)),
    )


def _redness(crop: np.ndarray) -> float:
    """Return by how much the middle of a crop is redder than blue, in grey levels."""
    height, width = crop.shape[:2]
    middle = crop[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    return float(middle[..., 2].mean() - middle[..., 0].mean())


def _place(landmarks: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return shift, spread and scale of landmarks (N, 5, 2) against the template."""
    if not len(landmarks) or size not in SIZES:
        return tuple(np.full((3, 2), np.nan))
    reference = template(size)
    offsets = landmarks.mean(1) - reference.mean(0)  # (N, 2)
    shift = np.median(offsets, 0)
    spread = np.median(np.abs(offsets - shift), 0)
    return shift, spread, np.median(landmarks.std(1) / reference.std(0), 0)


def _faults(
    sizes: Counter,
    num_found: int,
    num_turned: int,
    shift: np.ndarray,
    spread: np.ndarray,
    scale: np.ndarray,
    red: float | None,
) -> Iterable[str]:
    wrong = {size: count for size, count in sizes.items() if size not in SIZES}
    for (height, width), count in wrong.items():
        yield (
            f"{count} crops are {height}x{width} (height x width); networks take 112x112 or "
            "112x96: align the photos anew, resizing keeps the error of place"
        )
    if len(sizes) > 1:
        yield f"crops of {len(sizes)} sizes are mixed"
    if num_found < MIN_FOUND * sizes.total():
        yield f"a face is found in {num_found} of {sizes.total()} crops: cut wrong, or no faces"
    if num_turned:
        yield (
            f"{num_turned} crops lie on their side or stand on their head: turn them, or align the "
            "photos anew"
        )
    aspect = scale[0] / scale[1]
    if aspect < ASPECTS[0] or aspect > ASPECTS[1]:
        yield (
            f"faces are {aspect:.2f} times as wide as high: crops of 112x96 were resized to "
            "112x112, or the reverse; pad or cut them instead"
        )
    elif abs(scale - 1).max() > MAX_SCALE_ERROR:
        yield f"faces are {scale.mean():.2f} times as large as they should be: not aligned"
    if spread.max() > MAX_SPREAD:
        yield f"faces lie {spread.max():.1f} pixels apart from crop to crop: not aligned one by one"
    if np.abs(np.abs(shift) - (SQUARE_SHIFT_X, 0)).max() <= MAX_SHIFT:
        yield (
            f"faces lie {shift[0]:+.1f} pixels off in x: aligned to the reference points of the "
            "other width (112x112 needs 8 added to every x of 112x96)"
        )
    elif np.abs(shift).max() > MAX_SHIFT:
        yield f"faces lie {shift[0]:+.1f}, {shift[1]:+.1f} pixels off in x, y: not aligned"
    if red is not None and red < MIN_RED:
        yield (
            f"{1 - red:.0%} of the crops are bluer than red: red and blue are swapped (OpenCV "
            "reads and writes BGR, networks take RGB)"
        )

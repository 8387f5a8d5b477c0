"""Faces that one can trust: turned photos are set upright, what stays unsure says so.

A detector finds "faces" in photos that lie on their side or stand on their head, with invented
landmarks, and networks then take strangers for one person.  Their scores are lower than those of
upright faces, and of the four quarter turns the true one scores best.  So where the score of the
main face is low the other three turns are tried, and the best is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .face import Face, main_face

TURNS = (0, 90, 180, 270)  # degrees, counterclockwise
OUTSIDE = 0.35  # of the box's sides, by which a landmark may lie outside of it
STEEPEST = 60.0  # degrees from upright: nearer to another quarter turn than to this one


@dataclass(frozen=True)
class Trust:
    """What the scores of a detector tell.  All 0..1.

    sure: no turned photo reaches it, so that no turn need be tried.  least: upright faces reach
    it.  ahead: by how much the best turn must surpass the next; less, and the face may lie
    another way.
    """

    sure: float
    least: float
    ahead: float


def find_faces(
    detect: Callable[[np.ndarray], Sequence[Face]], image: np.ndarray, trust: Trust | None
) -> list[Face]:
    """Return the faces of an image whichever quarter turn it lies in, with their doubts.

    detect: image -> faces, as Detector.detect.  image: (H, W, ...), any dtype that it takes.
    trust: what its scores tell; None where nobody has measured them: the image is taken to be
    upright and only landmarks can be doubted.
    """
    faces = list(detect(image))
    best, next_score = 0, 0.0
    if trust is not None and _main_score(faces, image) < trust.sure:
        turned = [faces] + [list(detect(_turned(image, turn))) for turn in TURNS[1:]]
        scores = [_main_score(found, image) for found in turned]
        # A turned face that is doubtful itself is no reason to turn the image.
        scores[1:] = [score if score >= trust.least else 0.0 for score in scores[1:]]
        # The image as it is where it can hardly be told apart; that is doubted below.
        best = 0 if scores[0] > max(scores) - trust.ahead else int(np.argmax(scores))
        next_score = max(score for turn, score in enumerate(scores) if turn != best)
        faces = turned[best]
    doubtful_turn = ""
    score = _main_score(faces, image)
    if trust is not None and faces and score < min(trust.sure, next_score + trust.ahead):
        doubtful_turn = "it scores almost as high in a photo turned by another quarter"
    return [
        replace(
            _turned_back(face, TURNS[best], image.shape),
            doubts=tuple(doubt for doubt in (doubtful_turn, *_doubts(face, trust)) if doubt),
        )
        for face in faces
    ]


def _main_score(faces: Sequence[Face], image: np.ndarray) -> float:
    """Return the score of the main face, 0 where there is none."""
    return main_face(faces, image.shape).score if faces else 0.0


def _turned(image: np.ndarray, turn: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(image, turn // 90))


def _turned_back(face: Face, turn: int, shape: tuple[int, ...]) -> Face:
    """Return a face found in an image turned by turn where it is in the image of this shape."""
    box = _points_back(face.box.reshape(2, 2), turn, shape)
    return replace(
        face,
        box=np.concatenate([box.min(0), box.max(0)]).astype(np.float32),
        landmarks=_points_back(face.landmarks, turn, shape).astype(np.float32),
        turn=turn,
    )


def _points_back(points: np.ndarray, turn: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return points (N, 2) of a turned image in the image of shape (H, W, ...)."""
    x, y = points[:, 0], points[:, 1]
    right, bottom = shape[1] - 1, shape[0] - 1
    x, y = {
        0: (x, y),
        90: (right - y, x),
        180: (right - x, bottom - y),
        270: (y, bottom - x),
    }[turn]
    return np.stack([x, y], 1)


def _doubts(face: Face, trust: Trust | None) -> list[str]:
    """Return what speaks against a face in an upright image."""
    doubts = []
    if trust is not None and face.score < trust.least:
        doubts.append(f"its score is {face.score:.3f}, upright faces reach {trust.least}")
    left_eye, right_eye, _, left_mouth, right_mouth = face.landmarks.astype(float)
    down = (left_mouth + right_mouth - left_eye - right_eye) / 2
    across = right_eye - left_eye + right_mouth - left_mouth
    if np.degrees(np.arctan2(abs(down[0]), down[1])) > STEEPEST:
        doubts.append("its mouth is not below its eyes")
    if across[0] * down[1] - across[1] * down[0] <= 0:
        doubts.append("its left and right are exchanged")
    low, high = face.box[:2], face.box[2:]
    margin = OUTSIDE * (high - low)
    if (face.landmarks < low - margin).any() or (face.landmarks > high + margin).any():
        doubts.append("its landmarks lie outside of its box")
    return doubts

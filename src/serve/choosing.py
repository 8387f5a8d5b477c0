"""Which face of a photo is taken, and the answers that tell of it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from typing import Any

import cv2
import numpy as np

from .answers import FaceAnswer, OneFace
from .pipeline import Look
from .recognizer import Seen
from .refusal import Refusal

MAIN = -1  # the large and central face


def chosen(look: Look, number: int, allow: Collection[str]) -> int:
    """Return which face is taken: MAIN or a number of look.sight.faces.

    allow: "uncertain" takes a face that something speaks against.  Raises Refusal (422).
    """
    faces = look.sight.faces
    number = look.sight.main if number == MAIN else number
    if not 0 <= number < len(faces):
        raise _refusal(look, "unknown_face", f"there is no face {number}: 0 to {len(faces) - 1}")
    if faces[number].refusal and "uncertain" not in allow:
        raise _refusal(look, "uncertain_face", faces[number].refusal)
    return number


def refuse_several(look: Look, taken: int) -> None:
    """Raise Refusal if the photo shows another face beside the taken one."""
    others = look.sight.others(taken)
    if others:
        raise _refusal(
            look, "several_faces",
            f"{len(others) + 1} faces are in the photo; cut it out, say which one (face), or "
            "take the large and central one (allow=several_faces)",
        )  # fmt: skip


def refuse_several_people(
    looks: Sequence[Look],
    embeddings: Sequence[np.ndarray],
    threshold: float,
    enrolled: Sequence[np.ndarray] = (),
) -> None:
    """Raise Refusal unless the photos hang together: each like another, and so on to all.

    embeddings: (D,) each, unit length.  threshold: cosine from which on two are one person.
    enrolled: of the photos that the person has already, which are taken for one of the photos.
    """
    rows = np.stack(embeddings)
    similar = rows @ rows.T >= threshold  # (N, N)
    if len(enrolled):
        like = (rows @ np.stack(enrolled).T >= threshold).any(axis=1)[:, None]
        similar = np.block([[similar, like], [like.T, np.ones((1, 1), bool)]])
    groups: list[list[int]] = []
    left = list(range(len(similar)))
    while left:
        group, waiting = [], [left[0]]
        while waiting:
            one = waiting.pop()
            if one in left:
                left.remove(one)
                group.append(one)
                waiting += [other for other in left if similar[one, other]]
        groups.append(sorted(group))
    if len(groups) > 1:
        names = [*(str(look.photo.index) for look in looks), "those enrolled"]
        told = "; ".join(", ".join(names[i] for i in group) for group in groups)
        raise Refusal(
            422, "several_people",
            f"the photos show {len(groups)} people by their similarity (photos {told}); enrol "
            "them apart, or take them for one (allow=several_people)",
            photos=[look.photo.as_dict() for look in looks],
            groups=[here for group in groups if (here := [i for i in group if i < len(looks)])],
        )  # fmt: skip


def face_answer(look: Look, taken: int, *, crop: bool) -> FaceAnswer:
    """Return what is told of a photo.  taken: the face that was."""
    sight = look.sight
    face = sight.faces[taken].face
    return FaceAnswer(
        photo=look.photo.as_dict(),
        width=sight.width,
        height=sight.height,
        num_faces=sight.num_faces,
        box=face.box.tolist(),
        landmarks=face.landmarks.tolist(),
        score=face.score,
        crop=_data_url(sight.faces[taken].crop) if crop else None,
        taken=taken,
        faces=[OneFace(**_facts(seen)) for seen in sight.faces],
    )


def _facts(seen: Seen) -> dict[str, Any]:
    face = seen.face
    return {
        "box": face.box.tolist(),
        "landmarks": face.landmarks.tolist(),
        "score": face.score,
        "turn": face.turn,
        "doubts": list(face.doubts),
        "quality": seen.quality.as_dict(),
    }


def _refusal(look: Look, code: str, detail: str) -> Refusal:
    size = {"width": look.sight.width, "height": look.sight.height}
    faces = [_facts(seen) for seen in look.sight.faces]
    return Refusal(422, code, detail, photo=look.photo.as_dict(), faces=faces, **size)


def _data_url(bgr: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", bgr)[1]).decode()

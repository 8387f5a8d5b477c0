"""The JSON answers of the service."""

from __future__ import annotations

from collections.abc import Callable
import json
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict

_one_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class PhotoAnswer(BaseModel):
    """Which photo of the request: index from 0, form field, file name as sent, SHA-256 in hex."""

    index: int
    field: str
    file_name: str
    sha256: str


class QualityAnswer(BaseModel):
    """eye_distance: pixels of the photo.  sharpness: variance of the Laplacian.  brightness:
    0..255.  clipped: fraction all dark or bright.  yaw, pitch, roll: degrees, rough."""

    eye_distance: float
    sharpness: float
    brightness: float
    clipped: float
    yaw: float
    pitch: float
    roll: float
    score: float


class Match(BaseModel):
    name: str
    similarity: float
    same: bool


class OneFace(BaseModel):
    """box: x1, y1, x2, y2.  landmarks: 5 times x, y.  turn: degrees by which the photo lies.
    doubts: why it may be no face, or lie another way.  embedding, matches: on request."""

    box: list[float]
    landmarks: list[list[float]]
    score: float
    turn: int
    doubts: list[str]
    quality: QualityAnswer
    embedding: list[float] | None = None
    matches: list[Match] | None = None


class FaceAnswer(BaseModel):
    """width, height: of the photo.  box, landmarks, score, crop: of the face that was taken, faces
    [taken].  faces: best score first; num_faces: how many there are.  crop: PNG data URL."""

    photo: PhotoAnswer
    width: int
    height: int
    num_faces: int
    box: list[float]
    landmarks: list[list[float]]
    score: float
    crop: str | None = None
    taken: int
    faces: list[OneFace]


class Embedded(FaceAnswer):
    embedding: list[float]


class Comparison(BaseModel):
    """similarity: cosine, -1..1.  same: whether it reaches the threshold."""

    similarity: float
    squared_l2: float
    threshold: float
    same: bool
    left: FaceAnswer
    right: FaceAnswer


class Person(BaseModel):
    """photos: how many are enrolled."""

    name: str
    photos: int


class Enrolled(Person):
    """ids: of the photos enrolled now.  faces: what was taken of each; absent in the answer to a
    request that was repeated under its Idempotency-Key."""

    ids: list[int]
    faces: list[FaceAnswer] | None = None


class StoredPhoto(BaseModel):
    """added: seconds since 1970.  null: enrolled by a version that did not note it."""

    id: int
    sha256: str | None
    score: float | None
    added: int | None


class SearchAnswer(FaceAnswer):
    threshold: float
    matches: list[Match]


class Health(BaseModel):
    """status: ok, or what is not.  parts: recognizer, store, disk: "ok" or what is wrong."""

    status: str
    model: str
    threshold: float
    parts: dict[str, str]


class ErrorAnswer(BaseModel):
    """error: a code for programs.  detail: a line for people.  photo: which is meant, if one is."""

    model_config = ConfigDict(extra="allow")

    error: str
    detail: str
    photo: PhotoAnswer | None = None
    faces: list[Any] | None = None


def list_answer(
    rows: list[dict[str, Any]], limit: int | None, next_page: Callable[[dict[str, Any]], str]
) -> Response:
    """Return the answer of a route that lists: at most `limit` rows, and a link to those after.

    next_page: of the last row that is told, the address of those after it.  To be called in a
    thread: 100,000 rows take a while, in which others are to be answered.
    """
    told = rows[:limit]
    content = f"[{','.join(map(_one_line, told))}]"  # row by row, so that others get their turns
    answer = Response(content, media_type="application/json")
    if len(told) < len(rows):
        answer.headers["link"] = f'<{next_page(told[-1])}>; rel="next"'
    return answer

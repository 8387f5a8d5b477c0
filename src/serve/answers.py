"""The JSON answers of the service."""

from __future__ import annotations

from pydantic import BaseModel


class FaceAnswer(BaseModel):
    """width, height: of the photo.  box: x1, y1, x2, y2.  landmarks: 5 times x, y.  crop: PNG."""

    width: int
    height: int
    num_faces: int
    box: list[float]
    landmarks: list[list[float]]
    score: float
    crop: str | None = None


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
    name: str
    photos: int


class Match(BaseModel):
    name: str
    similarity: float
    same: bool


class SearchAnswer(FaceAnswer):
    threshold: float
    matches: list[Match]

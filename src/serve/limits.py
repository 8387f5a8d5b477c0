"""How much the service takes on."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Raises ValueError for one that is not positive."""

    photo_bytes: int = 10 * 2**20  # of one encoded photo
    request_bytes: int = 30 * 2**20  # of a whole request
    pixels: int = 25_000_000  # of one photo, width x height
    photos: int = 10  # in one request
    waiting: int = 32  # requests in progress; one more is told to come back
    seconds: float = 30.0  # for a request to arrive, and again to be answered
    enrolled: int = 100_000  # photos in the store

    def __post_init__(self) -> None:
        wrong = [field.name for field in fields(self) if not getattr(self, field.name) > 0]
        if wrong:
            raise ValueError(f"limits must be above 0: {', '.join(wrong)}")

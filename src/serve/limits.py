"""How much the service takes on.

Memory: what it has at rest, plus body_bytes, plus DECODERS (app.py) times 7 bytes for each pixel
of the largest photo (measured: a progressive JPEG); the rest that a request holds is faces of
112x112.  docs/serve.md has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
import math


@dataclass(frozen=True)
class Limits:
    """Raises ValueError for one that is not positive and finite, and for two of which the second
    leaves no room for what the first allows."""

    photo_bytes: int = 10 * 2**20  # of one encoded photo
    request_bytes: int = 30 * 2**20  # of a whole request
    body_bytes: int = 128 * 2**20  # of all requests that are in memory, together
    pixels: int = 25_000_000  # of one photo, width x height
    photos: int = 10  # in one request
    faces: int = 32  # of one photo that are told, and embedded on request
    waiting: int = 32  # requests in progress; one more is told to come back
    seconds: float = 30.0  # for a request to arrive, and again to be answered
    header_seconds: float = 10.0  # for the head of a request, and for a silent connection
    idle_seconds: float = 15.0  # for which a connection is kept after an answer
    connections: int = 1000  # at once
    connections_per_client: int = 256  # of one address
    enrolled: int = 100_000  # photos in the store

    def __post_init__(self) -> None:
        wrong = [
            _told(self, field.name)
            for field in fields(self)
            if not 0 < getattr(self, field.name) < math.inf
        ]
        if wrong:
            raise ValueError(f"limits must be above 0 and finite: {', '.join(wrong)}")
        for part, whole, why in WITHIN:
            if getattr(self, part) > getattr(self, whole):
                raise ValueError(
                    f"{_told(self, whole)} is below {_told(self, part)}: {why}; raise the first or "
                    "lower the second"
                )


# What is a part of what, and what comes of it where it is larger.
WITHIN = (
    ("photo_bytes", "request_bytes", "a photo as large as that could not be sent"),
    ("request_bytes", "body_bytes", "a request as large as that would be answered 503 for ever"),
)


def _told(limits: Limits, name: str) -> str:
    return f"--max-{name.replace('_', '-')} {getattr(limits, name)}"

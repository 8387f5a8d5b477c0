"""The one way in which the service says no."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An answer other than success: HTTP status, a short code for programs, a line for people.

    retry_after: seconds after which the same request may well succeed, or None.  more: what else
    the answer tells by name, such as the photo that is meant.
    """

    def __init__(
        self, status: int, code: str, detail: str, retry_after: int | None = None, **more: Any
    ):
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry_after = status, code, detail, retry_after
        self.more = more

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.code, "detail": self.detail, **self.more}

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def too_slow() -> Refusal:
    """Return what is answered when the time of a request ran out.  Nothing of it was stored."""
    return Refusal(503, "too_slow", "not done in time, nothing was stored; come back", 1)


def ending() -> Refusal:
    """Return what is answered while the service is being ended.  Nothing of it was stored."""
    return Refusal(503, "ending", "the service is being ended, nothing was stored", 5)

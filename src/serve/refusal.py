"""The one way in which the service says no."""

from __future__ import annotations


class Refusal(Exception):
    """An answer other than success: HTTP status, a short code for programs, a line for people.

    retry_after: seconds after which the same request may well succeed, or None.
    """

    def __init__(self, status: int, code: str, detail: str, retry_after: int | None = None):
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry_after = status, code, detail, retry_after

    @property
    def body(self) -> dict[str, str]:
        return {"error": self.code, "detail": self.detail}

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

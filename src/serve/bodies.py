"""Request bodies in memory: all of them together within a bound, and none of them on a disk."""

from __future__ import annotations

import asyncio
from collections import Counter
import time
from typing import Any

from .limits import Limits
from .refusal import Refusal

ONE_CLIENTS = 0.5  # share of the memory that the requests of one client may take
RETRY_SECONDS = 1


class Bodies:
    """Reads request bodies, and counts their bytes until they are given back."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._held: Counter[str] = Counter()  # bytes by client

    @property
    def held(self) -> int:
        return self._held.total()

    def give_back(self, client: str, body: bytearray | None) -> None:
        """Count a body no more."""
        if body:
            self._take(client, -len(body))

    async def read(self, client: str, receive: Any, *, keep: bool = True) -> bytearray:
        """Return the body of a request.

        keep: False reads it to its end, so that the client gets to its answer, and returns nothing.
        Raises Refusal: 408 or 413 beyond the limits, 400 if it is cut off, 503 if all bodies
        together take too much memory.
        """
        body, size, more, is_full = bytearray(), 0, True, False
        deadline = time.monotonic() + self._limits.seconds
        try:
            while more:
                message = await _received(receive, deadline)
                part = message.get("body", b"")
                size += len(part)
                more = message.get("more_body", False)
                if size > self._limits.request_bytes:
                    most = self._limits.request_bytes
                    raise Refusal(413, "too_many_bytes", f"a request may have {most} bytes")
                if keep and not is_full:
                    if self._has_room(client, len(part)):
                        self._take(client, len(part))
                        body += part
                    else:
                        is_full = True
                        self.give_back(client, body)
                        body = bytearray()
        except BaseException:
            self.give_back(client, body)
            raise
        if is_full:
            raise busy()
        return body

    def _has_room(self, client: str, count: int) -> bool:
        most = self._limits.body_bytes
        # One request finds room, or a small bound would shut everybody out.
        mine = max(most * ONE_CLIENTS, self._limits.request_bytes)
        return self.held + count <= most and self._held[client] + count <= mine

    def _take(self, client: str, count: int) -> None:
        self._held[client] += count
        if self._held[client] <= 0:
            del self._held[client]


async def _received(receive: Any, deadline: float) -> dict:
    try:
        message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0))
    except asyncio.TimeoutError:
        raise Refusal(408, "too_slow", "the request took too long to arrive") from None
    if message["type"] == "http.disconnect":
        raise Refusal(400, "cut_off", "the request ended early")
    return message


def busy() -> Refusal:
    """Return what is answered while more is asked than can be done."""
    detail = f"busy; come back in {RETRY_SECONDS} s"
    return Refusal(503, "busy", detail, retry_after=RETRY_SECONDS)

"""The gate before the routes: access, limits and overload, before anything is parsed.

It takes a whole request body into memory, within its limits, and hands it on; a request more
than may be in progress is told when to come back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import hmac
import json
import time
from typing import Any
from urllib.parse import urlsplit

from .limits import Limits
from .metrics import Metrics
from .refusal import Refusal

OPEN_PATHS = frozenset({"/", "/style.css", "/page.js", "/health"})  # hold no secret
RETRY_SECONDS = 1
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    token: the bearer token demanded, or "" for none.  hosts: names under which the service may
    be addressed, empty for any.  A page of another site that is open in a local browser is
    kept out by both: its requests carry its own origin, or (rebound) its own host.
    """

    token: str = ""
    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})

    def check(self, path: str, headers: dict[str, str]) -> None:
        """Raise Refusal (401 or 403) for a request that may not be made."""
        host = headers.get("host", "")
        if self.hosts and _hostname(host) not in self.hosts:
            raise Refusal(403, "wrong_host", "the service is not addressed by this name")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refusal(403, "wrong_origin", "pages of other sites may not use the service")
        if self.token and path not in OPEN_PATHS:
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                raise Refusal(401, "unauthorized", "send the header Authorization: Bearer TOKEN")


def _hostname(host: str) -> str | None:
    """Return the name or address in a Host header, without the port; None if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class Gate:
    """ASGI middleware around the routes."""

    def __init__(self, app: Any, limits: Limits, access: Access, metrics: Metrics):
        self._app, self._limits, self._access, self._metrics = app, limits, access, metrics
        self._active = 0

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, has_begun = time.perf_counter(), 500, False

        async def watched(message: dict) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                extra = [(k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            headers = {k.decode("latin1"): v.decode("latin1") for k, v in scope["headers"]}
            self._access.check(scope["path"], headers)
            if scope["method"] in ("GET", "HEAD"):
                await self._app(scope, receive, watched)
            else:
                await self._limited(scope, receive, watched)
        except Refusal as refusal:
            if has_begun:  # the time ran out while the caller read: nothing can be said any more
                raise ConnectionError("the answer was not read in time") from refusal
            await _answer(refusal, watched)
        finally:
            self._metrics.request(scope["path"], status, time.perf_counter() - start)

    async def _limited(self, scope: dict, receive: Any, send: Any) -> None:
        if self._active >= self._limits.waiting:
            await self._body(receive, keep=False)  # answered unread, a client may lose the answer
            raise Refusal(
                503, "busy", f"busy; come back in {RETRY_SECONDS} s", retry_after=RETRY_SECONDS
            )
        self._active += 1
        self._metrics.waiting.set(self._active)
        try:
            body = await self._body(receive, keep=True)
            try:
                await asyncio.wait_for(
                    self._app(scope, _replay(body, receive), send), self._limits.seconds
                )
            except asyncio.TimeoutError:
                raise Refusal(
                    503, "too_slow", "not done in time; come back", retry_after=RETRY_SECONDS
                ) from None
        finally:
            self._active -= 1
            self._metrics.waiting.set(self._active)

    async def _body(self, receive: Any, *, keep: bool) -> bytes:
        """Return the request body.  Raises Refusal (408 or 413) beyond the limits."""
        parts, size, more = [], 0, True
        deadline = time.monotonic() + self._limits.seconds
        while more:
            try:
                message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0))
            except asyncio.TimeoutError:
                raise Refusal(408, "too_slow", "the request took too long to arrive") from None
            if message["type"] == "http.disconnect":
                raise Refusal(400, "cut_off", "the request ended early")
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > self._limits.request_bytes:
                raise Refusal(
                    413,
                    "too_many_bytes",
                    f"a request may have {self._limits.request_bytes} bytes",
                )
            if keep:
                parts.append(message.get("body", b""))
        return b"".join(parts)


def _replay(body: bytes, receive: Any) -> Any:
    """Return a receive() that gives the body, then what the connection gives."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> dict:
        return messages.pop() if messages else await receive()

    return replayed


async def _answer(refusal: Refusal, send: Any) -> None:
    headers = {"content-type": "application/json", **refusal.headers}
    if refusal.status in (408, 413):
        headers["connection"] = "close"  # what is left of the request is not read
    raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": json.dumps(refusal.body).encode()})

"""The gate before the routes: access, limits and overload, before anything is parsed.

It takes a whole request body into memory, within its limits, and hands it on; a request more
than may be in progress is told when to come back.  Nothing cuts off what goes on behind it: the
routes keep the deadline themselves, so that what is answered 503 was not stored.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import unquote_to_bytes

from .access import Access, WrongTokens
from .bodies import Bodies, busy
from .connections import client_of
from .limits import Limits
from .metrics import Metrics
from .refusal import Refusal, ending

BODY, DEADLINE = "arcface.body", "arcface.deadline"  # in the scope: bytearray, time.monotonic()
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_RAW_SECURITY = [(k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]


class Gate:
    """ASGI middleware around the routes.  open_paths: of the page's files."""

    def __init__(
        self,
        app: Any,
        limits: Limits,
        access: Access,
        metrics: Metrics,
        open_paths: frozenset[str] = frozenset(),
    ):
        self._app, self._limits, self._access, self._metrics = app, limits, access, metrics
        self._open_paths = open_paths
        self._bodies, self._wrong_tokens = Bodies(limits), WrongTokens()
        metrics.body_bytes.set_function(lambda: self._bodies.held)

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, has_begun = time.perf_counter(), 500, False
        is_head = scope["method"] == "HEAD"

        async def watched(message: dict) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                message = {**message, "headers": [*message["headers"], *_RAW_SECURITY]}
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._checked(scope, receive, watched)
        except Refusal as refusal:
            await _answer(refusal, watched)
        except asyncio.CancelledError:  # the service ends; changes are not cut off (routes.py)
            if not has_begun:
                await _answer(ending(), watched)
        finally:
            self._metrics.request(scope["path"], status, time.perf_counter() - start)

    async def _checked(self, scope: dict, receive: Any, send: Any) -> None:
        client = client_of((scope.get("client") or ("",))[0])
        headers = {k.decode("latin1"): v.decode("latin1") for k, v in scope["headers"]}
        is_open = scope["path"] in self._open_paths
        try:
            self._access.check(scope["path"], headers, is_open=is_open)
        except Refusal as refusal:
            if refusal.code == "wrong_token":
                await self._wrong_tokens.pause(client)
            raise
        _check_text(scope)
        if scope["method"] in ("GET", "HEAD"):
            await self._app({**scope, "method": "GET"}, receive, send)
            return
        if self._metrics.active >= self._limits.waiting:
            await self._bodies.read(client, receive, keep=False)
            raise busy()
        body = await self._bodies.read(client, receive)
        try:
            if self._metrics.active >= self._limits.waiting:  # others were faster
                raise busy()
            await self._limited({**scope, BODY: body}, receive, send)
        finally:
            self._bodies.give_back(client, body)

    async def _limited(self, scope: dict, receive: Any, send: Any) -> None:
        self._metrics.active += 1
        try:
            scope[DEADLINE] = time.monotonic() + self._limits.seconds
            await self._app(scope, receive, send)
        finally:
            self._metrics.active -= 1


def _check_text(scope: dict) -> None:
    """Raise Refusal if path or query is no UTF-8: it would come to be read as another name."""
    for raw in (scope.get("raw_path") or b"", scope.get("query_string") or b""):
        if b"%" in raw:
            try:
                unquote_to_bytes(raw).decode()
            except UnicodeDecodeError:
                raise Refusal(422, "bad_text", "the address is not UTF-8") from None


async def _answer(refusal: Refusal, send: Any) -> None:
    body = json.dumps(refusal.body).encode()
    headers = {"content-type": "application/json", **refusal.headers}
    headers["content-length"] = str(len(body))
    if refusal.status in (400, 408, 413):
        headers["connection"] = "close"  # what is left of the request is not read
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    raw = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})

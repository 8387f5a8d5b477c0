"""Connections: how many, for how long silent, and what is answered where no request came to be.

uvicorn bounds neither the time for the head of a request nor the connections of one client.  Here
a client over its bound, or a service over its own, loses the connections that do least: silent
ones, then those kept after an answer, then those whose request still arrives.  A request that has
arrived is never cut off.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
import ipaddress
import json
import sys
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .limits import Limits

HEAD_BYTES = 16 * 1024  # of the head of a request
SILENT, KEPT, ARRIVING, WORKING = range(4)  # in the order in which they are given up
BUSY = 503, "busy", "too many connections; come back in 1 s"


class Guard:
    """Knows all connections of a service, by client."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.is_ending = False  # then nobody new is let in
        self._by_client: dict[str, dict[GuardedProtocol, None]] = {}
        self._count = 0

    def admit(self, connection: GuardedProtocol) -> bool:
        """Count a connection; return False if there is no room and none that could be given up."""
        mine = self._by_client.get(connection.client_key, {})
        is_admitted = True
        if len(mine) >= self.limits.connections_per_client:
            is_admitted = _give_up_one(mine)
        elif self._count >= self.limits.connections:
            # Of whoever has most: one client with many must not push out others with few.
            is_admitted = _give_up_one(max(self._by_client.values(), key=len))
        self._by_client.setdefault(connection.client_key, {})[connection] = None
        self._count += 1
        return is_admitted

    def release(self, connection: GuardedProtocol) -> None:
        mine = self._by_client.get(connection.client_key, {})
        if connection in mine:
            del mine[connection]
            self._count -= 1
            if not mine:
                del self._by_client[connection.client_key]


def _give_up_one(connections: dict[GuardedProtocol, None]) -> bool:
    """Close the connection that does least, the longest at it; return whether there is one."""
    chosen = min(connections, key=lambda one: (one.doing, one.since))
    if chosen.doing == WORKING:
        return False
    chosen.give_up()
    return True


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol within a Guard's bounds; its errors are JSON.  Made by protocol_of()."""

    guard: Guard

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.client_key = client_of(self.client[0] if self.client else "")
        self.since = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._has_begun = False  # bytes of a request that is not yet one
        if self.guard.is_ending:
            transport.abort()
        elif self.guard.admit(self):
            self._start_timer()
        else:
            self._refuse(*BUSY)

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.release(self)
        self._stop_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    @property
    def doing(self) -> int:
        if self.cycle is None:
            return SILENT
        if self.cycle.response_complete:
            return SILENT if self._has_begun else KEPT
        return ARRIVING if self.cycle.more_body else WORKING

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._has_begun = True
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._has_begun = False
            self._stop_timer()
        elif self._timer is None and not self.transport.is_closing():
            self._start_timer()

    def on_response_complete(self) -> None:
        self.since = time.monotonic()
        super().on_response_complete()

    def give_up(self) -> None:
        """Close the connection for the sake of another."""
        if self.doing == ARRIVING:
            self._refuse(*BUSY)
        else:
            self.transport.abort()
        self.guard.release(self)

    def shutdown(self) -> None:
        """End with the service: only what has arrived is still answered."""
        if self.transport.is_closing():
            return
        if self.doing == ARRIVING:
            self._refuse(503, "ending", "the service is being ended; come back later")
        elif self.doing == WORKING:
            super().shutdown()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.guard.limits.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:
        error = sys.exc_info()[1]  # it is called where h11's is handled
        status = getattr(error, "error_status_hint", 400)
        if status == 431:
            self._refuse(
                431, "too_long_head", f"the head of a request has up to {HEAD_BYTES} bytes"
            )
        else:
            self._refuse(status, "bad_http", f"this is no HTTP request: {error}")

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.guard.limits.header_seconds, self._out_of_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        self._timer = None
        if self._has_begun and (self.cycle is None or self.cycle.response_complete):
            seconds = self.guard.limits.header_seconds
            self._refuse(408, "too_slow", f"the head of a request has {seconds:g} s to arrive")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer where there is no request that an application could, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE, h11.ERROR):
            self.transport.write(canned(status, code, detail))
        self.transport.close()
        # A client that does not read its answer must not keep the connection.
        self.loop.call_later(1, self.transport.abort)


def protocol_of(guard: Guard) -> type[GuardedProtocol]:
    """Return the protocol of a service, for uvicorn's `http`."""
    return type("ServiceProtocol", (GuardedProtocol,), {"guard": guard})


def client_of(address: str) -> str:
    """Return what stands for a client: its address, of IPv6 the network of 64 bit that it has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def canned(status: int, code: str, detail: str) -> bytes:
    """Return a whole answer, after which the connection ends."""
    body = json.dumps({"error": code, "detail": detail}).encode()
    head: dict[str, Any] = {
        "content-type": "application/json",
        "content-length": len(body),
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "connection": "close",
    }
    if status == 503:
        head["retry-after"] = 1
    lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{k}: {v}" for k, v in head.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"

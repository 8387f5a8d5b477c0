"""The service's process: it listens, answers, and leaves the store closed however it is ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
import math
import resource
import signal
import socket
from typing import Any

import uvicorn

from .connections import HEAD_BYTES, Guard, protocol_of
from .limits import Limits
from .people import People

OTHER_FILES = 64  # open ones beside connections
SIGNALS = signal.SIGTERM, signal.SIGINT
ENDING_SECONDS = 5.0  # beyond those that a request has

log = logging.getLogger(__name__)


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Return a listening socket.  Raises ValueError if the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=backlog)
        # Connections inherit it; without, every answer waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"--host {host} --port {port}: {reason}") from None


def serve(app: Any, people: People, limits: Limits, listening: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT: what goes on is ended, then the store is closed."""
    guard = Guard(limits)
    config = uvicorn.Config(
        app,
        http=protocol_of(guard),
        ws="none",
        log_level="error",  # strangers who send no HTTP would fill the log
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=math.ceil(limits.idle_seconds),
        timeout_graceful_shutdown=math.ceil(limits.seconds + ENDING_SECONDS),
    )
    server = _Server(config, guard)

    def end(number: int, frame: Any) -> None:
        # uvicorn has a handler of its own while it serves, and raises the signal again when it
        # has ended: without this one that would end the process before the store is closed.
        server.should_exit = True

    for number in SIGNALS:
        signal.signal(number, end)
    try:
        server.run(sockets=[listening])
    finally:
        people.close()


class _Server(uvicorn.Server):
    """uvicorn's, which lets nobody in who comes while it ends, and ends at once if told twice."""

    def __init__(self, config: uvicorn.Config, guard: Guard):
        super().__init__(config)
        self._guard = guard

    def handle_exit(self, number: int, frame: Any) -> None:
        """End; a second signal cuts off what goes on, but never a change that has begun.

        uvicorn's own would leave its event loop with all of that in it, and a traceback.
        """
        if self.should_exit:
            for task in list(self.server_state.tasks):
                task.cancel()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._guard.is_ending = True
        await super().shutdown(sockets)


@contextmanager
def ending_by_signal() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the block like an exception, and the caller go on."""

    def end(number: int, frame: Any) -> None:
        raise _EndedError

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    except _EndedError:
        log.info("ended before it began to serve")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _EndedError(BaseException):
    """SIGTERM or SIGINT came while the service was being put together."""


def room_for(limits: Limits) -> int:
    """Return how many connections there may be, having asked for as many open files.

    Fewer than limits.connections, said in the log, where the system does not allow that.
    """
    wanted = limits.connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return limits.connections
    found = max(soft - OTHER_FILES, 1)
    log.warning("%d connections at once, not %d: the limit of open files is %d (ulimit -n)",
                found, limits.connections, soft)  # fmt: skip
    return found

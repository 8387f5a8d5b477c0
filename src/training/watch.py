"""No process of a job waits for ever: one that is waited for in vain ends those that wait.

MXNet's parameter server knows no failure.  A process that died is noticed by the scheduler, to
which all send heartbeats; it ends, and its silence ends the others.  Waiting itself happens in
MXNet's C++, where no exception reaches it: so the process ends at once, as by a signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import ctypes
import os
import sys
import threading
import time

from ..lazy_mxnet import mx

# Environment variables of MXNet's parameter server, in seconds, and what they are by default.
INTERVAL = "PS_HEARTBEAT_INTERVAL", 3
TIMEOUT = "PS_HEARTBEAT_TIMEOUT", 30
JOINING = 600  # seconds; until all processes of a job must have come
LEAVING = 600  # seconds; from the first that leaves to the last
TOGETHER = 6 * 3600  # seconds; for a step of all machines, with verification or mining
LOST = 1  # exit code
IN_A_ROW = 3  # so often something is found silent before it is taken for dead: a computer
# that slept finds all others silent when it wakes, until their next heartbeat

SCHEDULER, ALL = 1, 7  # groups, as ps-lite numbers them


def seconds(variable: tuple[str, int]) -> int:
    """Return what the environment says.  Raises ValueError if it is no number above 0."""
    name, default = variable
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name}={text}: give whole seconds, at least 1")
    return int(text)


def beat() -> int:
    """Let the parameter server of this process, which is still to be started, send heartbeats;
    return every how many seconds.

    Raises ValueError for bad environment variables.
    """
    seconds(TIMEOUT)
    os.environ[INTERVAL[0]] = str(seconds(INTERVAL))
    return seconds(INTERVAL)


def silent(kvstore: mx.kvstore.KVStore, nodes: int, duration: int) -> int:
    """Return how many of these nodes (a group, or one of ps-lite's ids) sent nothing for so many
    seconds; 0 until all have joined.  The scheduler hears all, the others the scheduler alone."""
    count = ctypes.c_int()
    mx.base.check_call(
        mx.base._LIB.MXKVStoreGetNumDeadNode(
            kvstore.handle, ctypes.c_int(nodes), ctypes.byref(count), ctypes.c_int(duration)
        )
    )
    return count.value


def find_silent_scheduler(kvstore: mx.kvstore.KVStore) -> Callable[[], str | None]:
    """Return what tells that the scheduler is gone, for a Watch of a worker or a server."""
    where = f"{os.environ['DMLC_PS_ROOT_URI']}:{os.environ['DMLC_PS_ROOT_PORT']}"
    patience = seconds(TIMEOUT)

    def find() -> str | None:
        if not silent(kvstore, SCHEDULER, patience):
            return None
        return (
            f"the scheduler at {where} has been silent for {patience} s: it died, or it ended "
            "because another process did, which it names. What was saved stays; start all again "
            "with --resume"
        )

    return find


def find_silent_node(kvstore: mx.kvstore.KVStore) -> Callable[[], str | None]:
    """Return what tells which worker or server is gone, for a Watch of the scheduler."""
    patience = seconds(TIMEOUT)
    nodes = [
        (f"{noun} {rank}", first + 2 * rank)  # ps-lite's ids
        for noun, first, variable in (
            ("worker", 9, "DMLC_NUM_WORKER"), ("server", 8, "DMLC_NUM_SERVER"),
        )
        for rank in range(int(os.environ[variable]))
    ]  # fmt: skip

    def find() -> str | None:
        gone = [name for name, node in nodes if silent(kvstore, node, patience)]
        if not gone:
            return None
        return f"{', '.join(gone)} silent for {patience} s: the job ends; start all with --resume"

    return find


def end_process(reason: str) -> None:
    """Say why and end this process at once."""
    print(f"error: {reason}", file=sys.stderr, flush=True)
    os._exit(LOST)


class Watch:
    """A thread that ends the process.

    lost() -> who is gone, or None; asked every so many seconds, and believed when it has said so
    in_a_row times.
    """

    def __init__(
        self,
        lost: Callable[[], str | None] = lambda: None,
        *,
        every: float = 1.0,
        end: Callable[[str], None] = end_process,
        in_a_row: int = IN_A_ROW,
    ):
        self._lost = lost
        self._every, self._end, self._in_a_row = every, end, in_a_row
        self._asking = threading.Lock()
        self._deadlines: list[tuple[float, str]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    @contextmanager
    def within(self, duration: float, what: str) -> Iterator[None]:
        """End the process if the block takes longer, in seconds.  what: told then."""
        deadline = (time.monotonic() + duration, f"{what} took more than {duration:g} s")
        self._deadlines.append(deadline)
        try:
            yield
        finally:
            self._deadlines.remove(deadline)

    def ask(self, lost: Callable[[], str | None] = lambda: None) -> None:
        """Ask this from now on; what was asked before is no longer in use when this returns."""
        with self._asking:
            self._lost = lost

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        in_a_row = 0
        while not self._stopped.wait(self._every):
            for deadline, what in list(self._deadlines):
                if time.monotonic() > deadline:
                    self._end(what)
            with self._asking:
                gone = self._lost()
            in_a_row = in_a_row + 1 if gone else 0
            if in_a_row == self._in_a_row:
                self._end(gone)

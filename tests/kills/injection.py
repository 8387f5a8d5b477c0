"""Kill a forked process at its k-th operation on files.

Counted are, from install() on: what opens a file to write, every write that reaches the system
(its file object's buffer is small, so that there are many), flushes to the disk, renames,
removals, new folders.  A write counts twice: before it, and with half of its bytes written.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
import contextlib
import io
import os
import signal
import traceback

BUFFER = 2048  # bytes
LONGEST = 300  # seconds: what waits for longer ends by SIGALRM
COUNTED = ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "ftruncate")

_fork = os.fork


class Failed(Exception):
    """The work raised something before it could be killed."""


def count_points(work: Callable[[], None]) -> int:
    """Return how many operations on files work() makes, in a process of its own."""
    reading, writing = os.pipe()
    process = _start(work, at=-1, signal_number=0, report=writing)
    os.close(writing)
    _check(os.waitpid(process, 0)[1])
    with os.fdopen(reading) as pipe:
        return int(pipe.read())


def killed(work: Callable[[], None], at: int) -> None:
    """Run work() in a forked process that is killed at its operation number `at`, from 0."""
    status = os.waitpid(_start(work, at, signal.SIGKILL), 0)[1]
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        _check(status)
        raise Failed(f"there is no operation {at}")


@contextlib.contextmanager
def stopped(work: Callable[[], None], at: int):
    """Run work() up to its operation `at`, the block, and then the rest of work().

    Yields nothing; a work that then fails has failed alone, which is allowed.
    """
    process = _start(work, at, signal.SIGSTOP)
    os.waitpid(process, os.WUNTRACED)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
        os.waitpid(process, 0)


def _start(work: Callable[[], None], at: int, signal_number: int, report: int = -1) -> int:
    process = _fork()
    if process:
        return process
    code = 1
    signal.alarm(LONGEST)
    try:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
        counter = _Counter(at, signal_number)
        counter.install()
        work()
        if report >= 0:
            os.write(report, str(counter.count).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
    return 0


def _check(status: int) -> None:
    if os.waitstatus_to_exitcode(status):
        raise Failed(f"the work ended with {os.waitstatus_to_exitcode(status)}")


class _Counter:
    def __init__(self, at: int, signal_number: int):
        self.count, self._at, self._signal = 0, at, signal_number
        self._write, self._open = os.write, os.open

    def step(self) -> None:
        if self.count == self._at:
            os.kill(os.getpid(), self._signal)
        self.count += 1

    def is_next(self) -> bool:
        return self.count == self._at

    def install(self) -> None:
        os.fsync = lambda descriptor: None  # a kill leaves what the system has; flushing takes time
        for name in COUNTED:
            setattr(os, name, self._counted(getattr(os, name)))
        os.open = self._counted_open
        os.write = lambda descriptor, data: self.write(
            data, lambda part: self._write(descriptor, part)
        )
        io.open = builtins.open = self._file

    def write(self, data: bytes, write: Callable[[bytes], int]) -> int:
        self.step()
        if self.is_next():
            done = write(bytes(data)[: len(data) // 2])
            self.step()
            return done  # stopped here, not killed: the caller writes the rest
        self.count += 1
        return write(data)

    def _counted(self, function: Callable) -> Callable:
        def counted(*arguments: object, **options: object) -> object:
            self.step()
            return function(*arguments, **options)

        return counted

    def _counted_open(self, path: str, flags: int, *rest: object, **options: object) -> int:
        if flags & os.O_CREAT:
            self.step()
        return self._open(path, flags, *rest, **options)

    def _file(  # as open()
        self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None,
        closefd=True, opener=None,
    ):  # fmt: skip
        if not set(mode) & set("wax+"):
            raw = io.FileIO(file, mode.replace("b", "").replace("t", ""), closefd, opener)
            buffered = io.BufferedReader(raw)
        else:
            if not isinstance(file, int):
                self.step()
            raw = _Raw(self, file, mode.replace("b", "").replace("t", ""), closefd, opener)
            kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
            buffered = kind(raw, BUFFER)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, io.text_encoding(encoding), errors, newline)


class _Raw(io.FileIO):
    def __init__(self, counter: _Counter, *arguments: object):
        super().__init__(*arguments)
        self._counter = counter

    def write(self, data: bytes) -> int:
        return self._counter.write(data, super().write)

    def truncate(self, size: int | None = None) -> int:
        self._counter.step()
        return super().truncate(size)

"""Cases tried in forked processes, so that one that crashes, hangs or takes all memory is one
result and not the end.

A worker may have MEMORY bytes beyond what it was forked with and twice the file, and SECONDS of
processor time for a case; the number of its case stands in memory that it shares.  What it prints
goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import contextlib
from dataclasses import dataclass
import faulthandler
import json
import mmap
import os
from pathlib import Path
import resource
import select
import signal
import struct
import time
import traceback

MEMORY = 500 << 20
SECONDS = 5
WALL_SECONDS = 60  # in which a case may sleep or wait; processes here are stopped at times
LARGEST_FILE = 1 << 28  # that a case may write
WELL = 77  # exit code of a worker that has done all
NUMBER = struct.Struct("<q")

# judge(number) -> what is wrong with a case, "" if nothing.
Judge = Callable[[int], str]


@dataclass(frozen=True)
class Fault:
    """number: of the case.  what: one line.  detail: a traceback, where there is one."""

    number: int
    what: str
    detail: str = ""


def faults_of(begin: Callable[[], Judge], numbers: Iterable[int]) -> list[Fault]:
    """Return the faults of cases, those of a worker that ended at one included.

    begin() is called in each worker and returns what judges a case.
    """
    numbers, faults, first = list(numbers), [], 0
    while first < len(numbers):
        found, done = _one_worker(begin, numbers[first:])
        faults += found
        first += done
    return faults


def allow(size: int) -> None:
    """Set the limits of the next case of this worker.  size: bytes of its files."""
    resource.setrlimit(resource.RLIMIT_DATA, (_data_before + MEMORY + 2 * size, _data_hard))
    used = int(time.process_time()) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, resource.RLIM_INFINITY))


def _one_worker(begin: Callable[[], Judge], numbers: list[int]) -> tuple[list[Fault], int]:
    """Return the faults found by one worker and how many cases it has done with."""
    place = mmap.mmap(-1, NUMBER.size)  # shared: how many cases were begun
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with contextlib.suppress(BaseException):
            _work(begin, numbers, place, writer)
        os._exit(WELL)
    os.close(writer)
    text, hung = _listen(child, reader, place)
    _, status = os.waitpid(child, 0)
    faults = [Fault(**json.loads(line)) for line in text.splitlines()]
    (begun,) = NUMBER.unpack(place[:])
    if os.WIFSIGNALED(status):
        number = numbers[max(begun - 1, 0)]
        name = signal.Signals(os.WTERMSIG(status)).name
        what = f"takes over {SECONDS} s" if name == "SIGXCPU" else f"ends in {name}"
        faults.append(Fault(number, f"hangs for {WALL_SECONDS} s" if hung else what))
        return faults, max(begun, 1)
    if os.WEXITSTATUS(status) != WELL:
        faults.append(Fault(numbers[max(begun - 1, 0)], "ends the process"))
        return faults, max(begun, 1)
    return faults, len(numbers)


def _listen(child: int, reader: int, place: mmap.mmap) -> tuple[str, bool]:
    """Return what a worker wrote, and whether it was killed since it hung."""
    pieces, before, since, hung = [], -1, time.monotonic(), False
    while True:
        if select.select([reader], [], [], 1)[0]:
            piece = os.read(reader, 1 << 16)
            if not piece:
                os.close(reader)
                return b"".join(pieces).decode(), hung
            pieces.append(piece)
        (begun,) = NUMBER.unpack(place[:])
        if begun != before:
            before, since = begun, time.monotonic()
        elif time.monotonic() - since > WALL_SECONDS and not hung:
            hung = True
            os.kill(child, signal.SIGKILL)


def _work(begin: Callable[[], Judge], numbers: list[int], place: mmap.mmap, writer: int) -> None:
    global _data_before
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
    faulthandler.disable()  # of pytest; the parent tells of crashes
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        judge = begin()
    except BaseException as error:  # the seed itself: one fault, and no use in going on
        place[:] = NUMBER.pack(len(numbers))
        _report(
            writer, Fault(numbers[0], f"{type(error).__name__}: {error}", traceback.format_exc())
        )
        return
    _data_before = _data_now()
    for count, number in enumerate(numbers, start=1):
        place[:] = NUMBER.pack(count)
        fault, detail, began = "", "", time.process_time()
        try:
            fault = judge(number)
        except BaseException as error:
            resource.setrlimit(resource.RLIMIT_DATA, (_data_hard, _data_hard))
            fault = f"{type(error).__name__}: {error}"
            if isinstance(error, MemoryError):
                fault = f"takes over {MEMORY >> 20} MB and twice the file"
            detail = traceback.format_exc()
        if time.process_time() - began > SECONDS:
            fault = fault or f"takes over {SECONDS} s"
        if fault:
            _report(writer, Fault(number, fault, detail))


def _report(writer: int, fault: Fault) -> None:
    fault = Fault(fault.number, fault.what[:2000], fault.detail[-4000:])
    os.write(writer, json.dumps(vars(fault)).encode() + b"\n")


def _data_now() -> int:
    """Return the bytes that count against RLIMIT_DATA."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) << 10
    return 0


_data_before, _data_hard = 0, resource.getrlimit(resource.RLIMIT_DATA)[1]

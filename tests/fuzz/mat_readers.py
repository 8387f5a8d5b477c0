"""Lists in MATLAB's files: all cases in a child that is forked, some in one that is started.

A started child imports scipy, which takes as long as a hundred cases.  So a server that has
imported it forks a process for each case, in which mat_file.answer_to() reads with the limits that
it has in a started one; what they took is looked at too.
"""

from __future__ import annotations

import contextlib
from functools import cache, partial
import io
import os
from pathlib import Path
import resource
import struct
import subprocess
import sys
from typing import BinaryIO, NoReturn
from unittest import mock

from arcface_mxnet.eval import mat_file, pair_lists
import numpy as np

from tests.fuzz.table import reader
from tests.fuzz.workers import MEMORY, SECONDS

ROOT = Path(__file__).parents[2]
COST_OF_A_PROCESS, COST_OF_A_FORK = 120, 10
SIZE = struct.Struct("<q")
CAME = struct.Struct("<qqdqq")  # status, bytes beyond the server's, seconds, sizes of both outputs


def mat_files() -> dict[str, bytes]:
    from scipy.io import savemat

    cell = np.empty((2, 3), object)
    for row in range(2):
        for column in range(3):
            cell[row, column] = f"{row}{column}_Name_{column}_m.jpg"
    splits = np.empty((1, 1), object)
    splits[0, 0] = cell
    rows = np.empty((3, 4), object)
    for row in range(3):
        rows[row] = [f"Data/Images/00{row}/frontal/01.jpg", "Data/Images/001/profile/02.jpg", 1.0,
                     float(row % 2)]  # fmt: skip
    contents = {"agedb.mat": {"splits": splits}, "agedb-z.mat": {"splits": splits},
                "cfp.mat": {"l": rows}}  # fmt: skip
    files = {}
    for name, content in contents.items():
        file = io.BytesIO()
        savemat(file, content, do_compression=name == "agedb-z.mat")
        files[name] = file.getvalue()
    return files


def is_list(pairs: object) -> bool:
    return isinstance(pairs, list) and len(pairs) > 0


def read(file: str, kind: str, folder: Path) -> list:
    return pair_lists.PAIR_LISTS[kind].read(folder / file, folder)


def read_in_fork(file: str, kind: str, folder: Path) -> list:
    with mock.patch.object(mat_file, "_ask", ask_server):
        return read(file, kind, folder)


for file, kind in (("agedb.mat", "agedb_30"), ("agedb-z.mat", "agedb_30"), ("cfp.mat", "cfp_ff")):
    name = f"mat-{file[:-4]}"
    reader(name, mat_files, file, partial(read_in_fork, file, kind), is_list,
           "eval.pair_lists", "eval.mat_file", cost=COST_OF_A_FORK)  # fmt: skip
    reader(f"{name}-started", mat_files, file, partial(read, file, kind), is_list,
           cost=COST_OF_A_PROCESS)  # fmt: skip


@cache
def server_of(process: int) -> subprocess.Popen:
    """Return the server of this process; it ends when nothing can ask it any more."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.mat_readers"], cwd=ROOT, bufsize=-1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def ask_server(data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Return what came of a forked child, as mat_file._ask() does of a started one.

    Raises AssertionError if it took more than a case may.
    """
    server = server_of(os.getpid())
    server.stdin.write(SIZE.pack(len(data)) + data)
    server.stdin.flush()
    status, more, seconds, *sizes = CAME.unpack(server.stdout.read(CAME.size))
    said, errors = (server.stdout.read(size) for size in sizes)
    assert more <= MEMORY + 2 * len(data), f"its child takes {more} bytes"
    assert seconds <= SECONDS, f"its child takes {seconds} s"
    return subprocess.CompletedProcess([], status, said, errors)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Fork a child for each file that comes, until no more do."""
    import scipy.io  # noqa: F401

    while head := requests.read(SIZE.size):
        data = requests.read(*SIZE.unpack(head))
        pipes = [os.pipe(), os.pipe()]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        child = os.fork()
        if child == 0:
            answer_into(data, [write for _, write in pipes])
        for _, write in pipes:
            os.close(write)
        outputs = []
        for end, _ in pipes:  # the second is a few lines, which the pipe holds
            with os.fdopen(end, "rb") as file:
                outputs.append(file.read())
        _, status, usage = os.wait4(child, 0)
        more, seconds = 1024 * (usage.ru_maxrss - before), usage.ru_utime + usage.ru_stime
        code = os.waitstatus_to_exitcode(status)
        replies.write(CAME.pack(code, more, seconds, *map(len, outputs)) + b"".join(outputs))
        replies.flush()


def answer_into(data: bytes, outputs: list[int]) -> NoReturn:
    with contextlib.suppress(BaseException):
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        mat_file.answer_to(data)
    os._exit(1)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)

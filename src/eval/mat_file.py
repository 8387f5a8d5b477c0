"""MATLAB's .mat files, versions 4 to 7, read by scipy in a process of its own.

scipy.io.loadmat ends the whole process over one changed byte, or takes gigabytes; no other reader
that is maintained knows cells and structs of all these versions.  So a child reads, with limits on
its memory and time and without core dumps, and hands over text and numbers as JSON: what happens
to it is a message.  That costs about half a second for a list.  Where the system has no such
limits (Windows) the child has its time alone.
"""

from __future__ import annotations

from dataclasses import dataclass
import json
import math
import os
from pathlib import Path
import subprocess
import sys
from typing import Any, NoReturn

from ..limits import parse_json, read_limited, shown

LARGEST_FILE = 1 << 26  # bytes; the published lists have up to 300 KB
LARGEST_ANSWER = 1 << 24  # bytes of JSON, or four times the file
MOST_MEMORY = 500 << 20  # bytes beyond what the child has without the file, and twice the file
MOST_SECONDS = 4  # of processor time, and one more for each megabyte of the file
PATIENCE = 10  # times that, by the clock
DEEPEST = 8  # cells in cells
CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from arcface_mxnet.eval.mat_file import answer; answer()"
)


@dataclass(frozen=True)
class MatArray:
    """An array of a .mat file: shape, and its items in row order: text, numbers, MatArrays.

    fields: of a struct array, whose items are lists with a value for each; else ().
    """

    shape: tuple[int, ...]
    items: list[Any]
    fields: tuple[str, ...] = ()

    def leaf(self) -> Any:
        """Return the first text or number within, "" if there is none."""
        value: Any = self
        while isinstance(value, MatArray | list):
            items = value.items if isinstance(value, MatArray) else value
            value = items[0] if items else ""
        return value


def read_mat(path: str | os.PathLike) -> dict[str, Any]:
    """Return the variables of a .mat file by name: MatArrays and text.

    Raises FileNotFoundError; ValueError for what is no such file, is damaged, or takes more than
    the limits.
    """
    data = read_limited(path, LARGEST_FILE, "MATLAB file")
    try:
        child = _ask(data)
    except subprocess.TimeoutExpired as error:
        raise _fault(path, f"reading it takes more than {error.timeout} seconds") from None
    answer = child.stdout.decode(errors="replace")
    if child.returncode < 0:
        raise _fault(path, f"its reader crashed (signal {-child.returncode})")
    if child.returncode or not answer.startswith(("{", "!")):
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        raise _fault(path, f"its reader ended ({shown(lines[-1] if lines else 'without a word')})")
    if answer.startswith("!"):
        raise _fault(path, answer[1:])
    return {name: _made(value) for name, value in parse_json(answer, f"{path}", "a list").items()}


def _ask(data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Return what came of a child that was given a file.  Raises subprocess.TimeoutExpired."""
    return subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps([place for place in sys.path if place])],
        input=data,
        capture_output=True,
        timeout=PATIENCE * _seconds(data),
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )


def _fault(path: str | os.PathLike, reason: str) -> ValueError:
    return ValueError(
        f"{Path(path)}: not a MATLAB file that can be read: {reason}; fetch it again, or save it "
        "in MATLAB with -v7"
    )


def _made(value: Any) -> Any:
    if isinstance(value, dict):
        return MatArray(
            tuple(value["shape"]), [_made(item) for item in value["items"]], tuple(value["fields"])
        )
    return [_made(item) for item in value] if isinstance(value, list) else value


def answer() -> None:
    """Read a .mat file from standard input, and write its variables, or !REASON, as JSON."""
    import scipy.io  # noqa: F401  (before the limits: it is not the file's)

    answer_to(sys.stdin.buffer.read())


def answer_to(data: bytes) -> NoReturn:
    """Write the variables of a .mat file, or !REASON, as JSON, and end the process."""
    import io

    from scipy.io import loadmat

    _limit(MOST_MEMORY + 2 * len(data), _seconds(data))
    try:
        content = loadmat(io.BytesIO(data))
        variables = {
            name: _plain(value, DEEPEST)
            for name, value in content.items()
            if not name.startswith("__")
        }
        text = json.dumps(variables, allow_nan=False)
        if len(text) > max(LARGEST_ANSWER, 4 * len(data)):
            raise ValueError("it holds more than a list")
    except NotImplementedError:
        text = "!it is of version 7.3"
    except Exception as error:  # loadmat raises any kind over foreign bytes
        text = f"!{type(error).__name__}: {shown(str(error))}"
    sys.stdout.write(text)
    sys.stdout.flush()
    os._exit(0)  # without what a damaged heap would do on the way out


def _seconds(data: bytes) -> int:
    """Return the processor time that reading a file may take."""
    return MOST_SECONDS + (len(data) >> 20)


def _limit(memory: int, seconds: int) -> None:
    """Set the limits of this process.  memory: bytes that it may take from now on."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    statm = Path("/proc/self/statm")  # where there is none, RLIMIT_AS is not heeded either
    if statm.is_file():
        most = int(statm.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _plain(value: Any, depth: int) -> Any:
    """Return an array as JSON can hold it.  Raises ValueError for other kinds than lists have."""
    import numpy as np

    if depth == 0:
        raise ValueError(f"cells lie in cells more than {DEEPEST} deep")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "OUSbiufV":
        raise ValueError(f"it holds {shown(value)}")
    fields = value.dtype.names or ()
    if fields:
        items = [[_plain(row[name], depth - 1) for name in fields] for row in value.ravel()]
    else:
        items = [_plain(item, depth - 1) for item in value.ravel().tolist()]
    return {"shape": list(value.shape), "items": items, "fields": list(fields)}

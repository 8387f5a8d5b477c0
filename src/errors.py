"""What a user reads when a command cannot go on: one line, or a file with the traceback beside it.

A refusal of this project is shown as it stands.  What the system refuses (a full disk, a missing
right) is said in words with the file and a cure.  Everything else nobody foresaw: a line says what
and where, and names a log in the folder for temporary files (TMPDIR) that holds the traceback.
"""

from __future__ import annotations

import dis
import errno
import os
from pathlib import Path
import platform
import sys
import sysconfig
import tempfile
import time
import traceback
from types import TracebackType

from . import __version__

PACKAGE = Path(__file__).parent
RAISE = dis.opmap["RAISE_VARARGS"]
LIBRARIES = tuple(
    os.path.join(sysconfig.get_path(name), "")  # noqa: PTH118 - with the separator at its end
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
LONGEST_REASON = 300
LONGEST_LINE = 4000  # characters
AGAIN = "or choose another place, and run again"
RIGHTS = "this account may not read or write it; change its rights, or choose another place"
BROKEN = "the disk or the network could not read or write it; look there (dmesg), and run again"
BY_SYSTEM = {
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.ENOSPC: f"no space is left on the disk; free some, {AGAIN}",
    errno.EDQUOT: f"the quota of this account is used up; free some, {AGAIN}",
    errno.EFBIG: f"the file system takes no file this large; write to another, {AGAIN}",
    errno.EROFS: "it lies on a file system that is read-only; choose another place",
    errno.EMFILE: "too many files are open at once; allow more with `ulimit -n`, and run again",
    errno.ENFILE: "the system has too many files open; close some programs, and run again",
    errno.EISDIR: "it is a folder where a file is expected",
    errno.ENOTDIR: "a part of this path is a file where a folder is expected",
    errno.EEXIST: "it is there already",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.ENAMETOOLONG: "this name is too long for the file system",
    errno.ELOOP: "its symbolic links go round in a circle",
    errno.EIO: BROKEN,
    errno.ESTALE: BROKEN,
    errno.ENOMEM: "no memory is left; close some programs, and run again",
    errno.EPIPE: "what reads the output has closed it",
}
EXTRAS = {
    "mxnet": "cpu",
    "onnx": "embed",
    "onnxruntime": "embed",
    "fastapi": "serve",
    "uvicorn": "serve",
    "multipart": "serve",
    "prometheus_client": "serve",
    "PIL": "serve",
    "tensorboardX": "tensorboard",
}


class CutShortError(ValueError):
    """What was done here was cut short by another process, which says why.

    Who adds words of his own to an error, such as where in a network it came up, passes this one on
    as it is: nothing was wrong there.
    """


def is_foreseen(error: BaseException) -> bool:
    """Return whether an error is the user's to cure: its message says how, or words_of() does."""
    if isinstance(error, ModuleNotFoundError):
        return error.name in EXTRAS
    if isinstance(error, OSError) and error.errno is not None:
        is_known = error.errno in BY_SYSTEM or not _is_of_system(error)
        return is_known and (error.errno == errno.EPIPE or bool(error.filename))
    return isinstance(error, (ValueError, OSError)) and _is_ours(error)


def reason_of(error: BaseException) -> str:
    """Return an error in one line, for the line of a list or table that it spoils."""
    of_system = isinstance(error, OSError) and error.errno is not None
    return " ".join((_foreseen(error) if of_system else str(error)).split()) or type(error).__name__


def words_of(error: BaseException) -> str:
    """Return what a user should read of an error; of one that is not foreseen, in one line."""
    if is_foreseen(error):
        return "\n".join(map(_cut, _foreseen(error).split("\n")))
    reason = _foreseen(error) if isinstance(error, OSError) and error.errno else _reason(error)
    return f"{reason}; nobody foresaw this{_place(error)}; {_log(error)}"


def _cut(line: str) -> str:
    """Return a line without what no screen shows: it may hold a name out of a file."""
    much = len(line) > LONGEST_LINE
    return f"{line[:LONGEST_LINE]}.. ({len(line)} characters)" if much else line


def _foreseen(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return _missing(error.name)
    if isinstance(error, OSError) and error.errno is not None:
        words = BY_SYSTEM.get(error.errno) if _is_of_system(error) else str(error.strerror)
        words = words or error.strerror or type(error).__name__
        files = [os.fsdecode(f) for f in (error.filename, error.filename2) if _is_path(f)]
        return ": ".join([" to ".join(files), words] if files else [words])
    return str(error)


def _is_of_system(error: OSError) -> bool:
    """Return whether the words of an error are the system's; this project gives better ones."""
    return not error.strerror or error.strerror == os.strerror(error.errno)


def _is_path(name: object) -> bool:
    return isinstance(name, (str, bytes, os.PathLike))


def _missing(module: str) -> str:
    extra = EXTRAS[module]
    others = ", or [cu112] for its CUDA build" if module == "mxnet" else ""
    python = f"; MXNet needs Python 3.10 to 3.12, this is {platform.python_version()}"
    others += python if module == "mxnet" and sys.version_info >= (3, 13) else ""
    return (
        f"this command needs {module}, which is not installed: "
        f"pip install 'arcface_mxnet[{extra}]'{others}"
    )


def _is_ours(error: BaseException) -> bool:
    """Return whether a raise statement outside the libraries made this error.

    int() of a wrong text, or a library that is given it, raise ValueError too; what they say
    names no file.
    """
    last = _last(error.__traceback__)
    if last is None:
        return False
    code = last.tb_frame.f_code
    return code.co_code[last.tb_lasti] == RAISE and not _is_foreign(code.co_filename)


def _is_foreign(path: str) -> bool:
    is_installed = path.startswith((*LIBRARIES, "<"))
    return is_installed and not path.startswith(os.path.join(PACKAGE, ""))  # noqa: PTH118


def _last(step: TracebackType | None) -> TracebackType | None:
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step


def _reason(error: BaseException) -> str:
    """Return the kind of an error and the last line of its message: MXNet's begin with a stack."""
    if isinstance(error, MemoryError):
        return "the memory does not suffice; give less at once, or close other programs"
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    reason = " ".join(lines[-1].split()).removeprefix(f"{type(error).__name__}: ")
    if len(reason) > LONGEST_REASON:
        reason = reason[: LONGEST_REASON - 3] + "..."
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _place(error: BaseException) -> str:
    """Return where, outside the libraries, an error came up."""
    steps = traceback.extract_tb(error.__traceback__)
    ours = [step for step in steps if not _is_foreign(step.filename)]
    if not ours:
        return ""
    path = Path(ours[-1].filename)
    shown = path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else path.name
    return f" (in {shown}, line {ours[-1].lineno})"


def _log(error: BaseException) -> str:
    """Write the traceback and return words for where it is, or for why it is nowhere."""
    facts = (
        f"{time.strftime('%Y-%m-%d %H:%M:%S')}\narcface_mxnet {__version__}, "
        f"Python {platform.python_version()}, {platform.platform()}\n{sys.argv}\n\n"
    )
    text = facts + "".join(traceback.format_exception(error))
    path = None
    try:
        descriptor, path = tempfile.mkstemp(prefix="arcface-", suffix=".log")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as reason:
        if path:
            Path(path).unlink(missing_ok=True)
        why = BY_SYSTEM.get(reason.errno) or reason.strerror or str(reason)
        return f"no log of it could be written: {why}"
    return f"the traceback is in {path}, please report it"

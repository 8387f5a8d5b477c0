"""Compile the operators of this folder into one shared library, kept in the user's cache.

The library is keyed by everything that decides its bytes: the sources, MXNet's version and
interface, the compiler and the processor's features.  The file is the library followed by
its own SHA-256, so a damaged one is seen before it is loaded, and it appears under its name
only when it is complete: any number of processes may build at once.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
from pathlib import Path
import platform
import shutil
import subprocess
import tempfile

import mxnet as mx

from ..data.files import replace_file

logger = logging.getLogger(__name__)

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.cc")))
HEADERS = tuple(sorted(Path(__file__).parent.glob("*.h")))
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared")
BUILD_TIMEOUT = 300  # seconds
DIGEST_SIZE = hashlib.sha256().digest_size


class BuildError(RuntimeError):
    """The operators cannot be compiled here; the message says why."""


def cached_library(cache_dir: Path | None = None) -> Path:
    """Return the path of the compiled library, compiling it when the cache has none.

    cache_dir: default arcface_mxnet/ in the user's cache folder.  Where that cannot be
    written, the library lies in a temporary folder until the process ends.  Raises BuildError.
    """
    compiler = find_compiler()
    name = f"operators-{_key(compiler)}.so"
    folder = cache_dir or user_cache_dir()
    library = folder / name
    if _is_whole(library):
        return library
    logger.info("compiling the operators for this processor: once, a quarter of a minute")
    content = _compile(compiler)
    try:
        return _store(content, library)
    except OSError as error:
        private = Path(tempfile.mkdtemp(prefix="arcface_mxnet-"))
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        logger.warning("operators cannot be kept for the next time: %s", error)
        return _store(content, private / name)


def user_cache_dir() -> Path:
    """Return arcface_mxnet/ in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "arcface_mxnet"


def find_compiler() -> str:
    """Return the path of the C++ compiler: $CXX, g++, clang++ or c++.  Raises BuildError."""
    for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise BuildError("no C++ compiler found (g++ or clang++)")


def _interface() -> tuple[Path, Path]:
    """Return MXNet's header folder and the source that every extension is compiled with."""
    root = Path(mx.__file__).parent
    include, glue = root / "include", root / "src" / "lib_api.cc"
    for path in (include / "mxnet" / "lib_api.h", glue):
        if not path.is_file():
            raise BuildError(
                f"MXNet {mx.__version__} has no extension interface ({path} is absent)"
            )
    return include, glue


def _key(compiler: str) -> str:
    include, glue = _interface()
    digest = hashlib.sha256()
    for path in (*SOURCES, *HEADERS, include / "mxnet" / "lib_api.h", glue):
        digest.update(path.read_bytes() + b"\0")
    facts = (mx.__version__, *FLAGS, compiler, _run([compiler, "--version"]), _processor())
    digest.update("\0".join(facts).encode())
    return digest.hexdigest()[:24]


def _processor() -> str:
    """Return what -march=native depends on: machine, model and features of the processor."""
    facts = [platform.machine(), platform.processor()]
    info = Path("/proc/cpuinfo")
    if info.is_file():
        wanted = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part")
        lines = info.read_text(errors="replace").split("\n\n")[0].splitlines()
        facts += [line for line in lines if line.startswith(wanted)]
    return "\n".join(facts)


def _compile(compiler: str) -> bytes:
    include, glue = _interface()
    with tempfile.TemporaryDirectory(prefix="arcface_mxnet-") as folder:
        library = Path(folder) / "operators.so"
        sources = [str(path) for path in (*SOURCES, glue)]
        _run([compiler, *FLAGS, f"-I{include}", *sources, "-o", str(library)])
        try:
            return library.read_bytes()
        except OSError as error:
            raise BuildError(f"{compiler} left no library: {error}") from error


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=BUILD_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} does not run: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line), lines[0] if lines else "")
        raise BuildError(f"{command[0]} failed with code {done.returncode}: {first[:300]}")
    return done.stdout


def _store(content: bytes, library: Path) -> Path:
    library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replace_file(library) as file:
        file.write(content + hashlib.sha256(content).digest())
    return library


def _is_whole(library: Path) -> bool:
    try:
        content = library.read_bytes()
    except OSError:
        return False
    body, digest = content[:-DIGEST_SIZE], content[-DIGEST_SIZE:]
    return bool(body) and hashlib.sha256(body).digest() == digest

"""Compile C++ of this package into shared libraries, kept in the user's cache.

A library is keyed by everything that decides its bytes: the sources, the flags, what its
recipe names besides, the compiler and the processor's features.  The file is the library
followed by its own SHA-256, so a damaged one is seen before it is loaded, and it appears under
its name only when it is complete: any number of processes may build at once.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass
import hashlib
import logging
import os
from pathlib import Path
import platform
import shutil
import subprocess
import tempfile

from .files import replace_file

logger = logging.getLogger(__name__)

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-shared")
BUILD_TIMEOUT = 300  # seconds
DIGEST_SIZE = hashlib.sha256().digest_size


class BuildError(RuntimeError):
    """The library cannot be compiled here; the message says why."""


@dataclass(frozen=True)
class LibraryRecipe:
    """What a library is made of.

    name: of the library, in messages and in the cache.  sources: compiled together.
    headers: what they include, for the key.  flags: besides FLAGS.  facts: what else decides
    the bytes, such as versions.
    """

    name: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...] = ()
    flags: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


def cached_library(recipe: LibraryRecipe, cache_dir: Path | None = None) -> Path:
    """Return the path of the compiled library, compiling it when the cache has none.

    cache_dir: default arcface_mxnet/ in the user's cache folder.  Where that cannot be
    written, the library lies in a temporary folder until the process ends.  Raises BuildError.
    """
    compiler = find_compiler()
    name = f"{recipe.name}-{_key(recipe, compiler)}.so"
    library = (cache_dir or user_cache_dir()) / name
    if is_whole(library):
        return library
    logger.info("compiling the %s for this processor: once, some seconds", recipe.name)
    content = _compile(recipe, compiler)
    try:
        return _store(content, library)
    except OSError as error:
        private = Path(tempfile.mkdtemp(prefix="arcface_mxnet-"))
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        logger.warning("the %s cannot be kept for the next time: %s", recipe.name, error)
        return _store(content, private / name)


def user_cache_dir() -> Path:
    """Return arcface_mxnet/ in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        raise OSError("no home folder for the cache: set XDG_CACHE_HOME to a folder") from None
    return root / "arcface_mxnet"


def find_compiler() -> str:
    """Return the path of the C++ compiler: $CXX, g++, clang++ or c++.  Raises BuildError."""
    for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise BuildError("no C++ compiler found (g++ or clang++)")


def is_whole(library: Path) -> bool:
    """Return whether a library of the cache is there and undamaged."""
    try:
        content = library.read_bytes()
    except OSError:
        return False
    body, digest = content[:-DIGEST_SIZE], content[-DIGEST_SIZE:]
    return bool(body) and hashlib.sha256(body).digest() == digest


def _key(recipe: LibraryRecipe, compiler: str) -> str:
    digest = hashlib.sha256()
    for path in (*recipe.sources, *recipe.headers):
        digest.update(path.read_bytes() + b"\0")
    facts = (*recipe.facts, *FLAGS, *recipe.flags)
    facts += (compiler, _run([compiler, "--version"]), _processor())
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


def _compile(recipe: LibraryRecipe, compiler: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="arcface_mxnet-") as folder:
        library = Path(folder) / f"{recipe.name}.so"
        sources = [str(path) for path in recipe.sources]
        _run([compiler, *FLAGS, *recipe.flags, *sources, "-o", str(library)])
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

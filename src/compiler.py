"""Compile C++ of this package into shared libraries, kept in the user's cache.

A library is keyed by everything that decides its bytes: the sources, the flags, what its
recipe names besides, the compiler, the C library and the processor's features.  It is tried in a
process of its own before it is kept, so that none is found later that ends the process which
loads it.  The file is the library followed by its own SHA-256, so a damaged one is seen before it
is loaded, and it appears under its name only when it is complete.  One process compiles it while
others wait.  A process that is killed meanwhile leaves a folder, which the next that compiles
removes.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import hashlib
import logging
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys
import tempfile
from typing import TypeVar

from .files import replace_file
from .locks import is_at, left_behind, locked, try_lock

logger = logging.getLogger(__name__)

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-shared")
BUILD_TIMEOUT = 300  # seconds
TRIAL_TIMEOUT = 120  # seconds; importing MXNet alone can take some
PATIENCE = BUILD_TIMEOUT + TRIAL_TIMEOUT + 30  # seconds for another process to compile
DIGEST_SIZE = hashlib.sha256().digest_size
WORKSHOP = "arcface_mxnet-"  # prefix of the folders in which libraries are made
ALIVE = "alive"  # the file in them that their process holds locked
TRIAL = (
    "import importlib, sys; module, name, path = sys.argv[1:]; "
    "getattr(importlib.import_module(module), name)(path)"
)

T = TypeVar("T")


class BuildError(RuntimeError):
    """The library cannot be compiled here; the message says why."""


@dataclass(frozen=True)
class LibraryRecipe:
    """What a library is made of, and how it is tried.

    name: of the library, in messages and in the cache.  sources: compiled together.
    headers: what they include, for the key.  flags: besides FLAGS.  facts: what else decides
    the bytes, such as versions.  trial: "MODULE:FUNCTION", called with the path in a process of
    its own; it raises if the library is of no use.
    """

    name: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...] = ()
    flags: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    trial: str = ""


def load_cached(
    recipe: LibraryRecipe, load: Callable[[Path], T], cache_dir: Path | None = None
) -> T:
    """Return load(path) of the compiled library.

    One that was kept and does not load any more (load raises OSError, RuntimeError or
    AttributeError) is thrown away and compiled again, once.  Raises BuildError, and what load
    raises of the new one.
    """
    library, is_new = _cached(recipe, cache_dir)
    known = _version(library)
    try:
        return load(library)
    except (OSError, RuntimeError, AttributeError) as error:
        if is_new:
            raise
        logger.warning(
            "the kept %s does not load and is compiled again: %s", recipe.name, reason_of(error)
        )
    return load(_cached(recipe, cache_dir, known)[0])


def cached_library(recipe: LibraryRecipe, cache_dir: Path | None = None) -> Path:
    """Return the path of the compiled library, compiling it when the cache has none.

    cache_dir: default arcface_mxnet/ in the user's cache folder.  Where that cannot be
    written, the library lies in a temporary folder until the process ends.  Raises BuildError.
    """
    return _cached(recipe, cache_dir)[0]


def _cached(
    recipe: LibraryRecipe, cache_dir: Path | None, useless: tuple[int, int] | None = None
) -> tuple[Path, bool]:
    """Return the path, and whether the library is new.  useless: one that shall not be taken."""
    compiler = find_compiler()
    library = (cache_dir or user_cache_dir()) / f"{recipe.name}-{_key(recipe, compiler)}.so"
    if _is_kept(library, useless):
        return library, False
    content = None
    try:
        library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(library, recipe.name):
            if _is_kept(library, useless):  # compiled by the process that we waited for
                return library, False
            library.unlink(missing_ok=True)  # what is damaged or does not load
            content = _compiled(recipe, compiler)
            _store(content, library)
    except OSError as error:
        content = content or _compiled(recipe, compiler)
        folder, descriptor = _make_workshop()
        atexit.register(_remove_workshop, folder, descriptor)
        logger.warning("the %s cannot be kept for the next time: %s", recipe.name, error)
        library = folder / library.name
        _store(content, library)
    return library, True


def reason_of(error: Exception) -> str:
    """Return the message of an error in one line, without the traceback that MXNet puts first."""
    return _reason(str(error))


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
    facts += (compiler, _run([compiler, "--version"]), *platform.libc_ver(), _processor())
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


def _is_kept(library: Path, useless: tuple[int, int] | None) -> bool:
    return is_whole(library) and (useless is None or _version(library) != useless)


def _version(library: Path) -> tuple[int, int]:
    facts = library.stat()
    return facts.st_ino, facts.st_mtime_ns


@contextmanager
def _alone(library: Path, name: str) -> Iterator[None]:
    """Let one process at a time compile a library.  Raises BuildError if another takes too long."""

    def tell() -> None:
        logger.info("another process compiles the %s; waiting for it", name)

    lock = library.with_suffix(".lock")
    for other in library.parent.glob("*.lock"):
        with left_behind(other) as is_left:
            if is_left:
                other.unlink(missing_ok=True)  # of a killed compile
    try:
        with locked(lock, PATIENCE, tell):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except TimeoutError as error:
        raise BuildError(f"another process does not come to an end compiling it: {error}") from None


def _compiled(recipe: LibraryRecipe, compiler: str) -> bytes:
    """Return the bytes of the library, compiled and tried."""
    logger.info("compiling the %s for this processor: once, some seconds", recipe.name)
    folder, descriptor = _make_workshop()
    try:
        library = folder / f"{recipe.name}.so"
        sources = [str(path) for path in recipe.sources]
        _run([compiler, *FLAGS, *recipe.flags, *sources, "-o", str(library)], folder)
        try:
            content = library.read_bytes()
        except OSError as error:
            raise BuildError(f"{compiler} left no library: {error}") from error
        if recipe.trial:
            _try(recipe.trial, library)
        return content
    finally:
        _remove_workshop(folder, descriptor)


def _try(trial: str, library: Path) -> None:
    """Raise BuildError unless the library is of use to a process of its own."""
    command = [sys.executable, "-c", TRIAL, *trial.split(":"), str(library)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TRIAL_TIMEOUT,
            env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"the compiled library cannot be tried: {error}") from error
    if done.returncode < 0:
        raise BuildError(f"the compiled library ends its process with signal {-done.returncode}")
    if done.returncode:
        raise BuildError(f"the compiled library is of no use: {_reason(done.stderr)}")


def _make_workshop() -> tuple[Path, int]:
    """Return a new temporary folder, and the lock that says that its process lives.

    Those of dead processes are removed.
    """
    for alive in Path(tempfile.gettempdir()).glob(f"{WORKSHOP}*/{ALIVE}"):
        with left_behind(alive) as is_left:
            if is_left:
                shutil.rmtree(alive.parent, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=WORKSHOP))
        descriptor = os.open(folder / ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
        try_lock(descriptor)
        if is_at(descriptor, folder / ALIVE):
            return folder, descriptor
        os.close(descriptor)  # taken for a dead one's before it had its lock


def _remove_workshop(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


def _run(command: list[str], folder: Path | None = None) -> str:
    """Return what a command prints.  folder: where it shall keep its temporary files."""
    environment = os.environ | ({"TMPDIR": str(folder)} if folder else {})
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=BUILD_TIMEOUT,
            env=environment,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} does not run: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line), lines[0] if lines else "")
        raise BuildError(f"{command[0]} failed with code {done.returncode}: {first[:300]}")
    return done.stdout


def _store(content: bytes, library: Path) -> None:
    with replace_file(library) as file:
        file.write(content + hashlib.sha256(content).digest())


def _reason(text: str) -> str:
    """Return what an error says in one line: of a traceback what follows its last place."""
    lines = [line for line in text.splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        places = [number for number, line in enumerate(lines) if line.startswith((" ", "Trace"))]
        said = lines[places[-1] + 1 :]
    else:
        said = lines[:1]
    return "; ".join(line.strip() for line in said)[:300] or "it does not say why"

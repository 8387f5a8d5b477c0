"""Runs the tests of a fault on a copy of the package that has it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import time

from .table import ROOT, Mutant

SECONDS = 300  # a fault that makes its tests hang is seen, too
FAILED, NO_TESTS = 1, 5  # exit codes of pytest
SLOW = ("test_distributed.py", "test_job_ends.py", "test_killed.py")  # whole jobs
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no")


@dataclass(frozen=True)
class Outcome:
    """What became of one fault: seen or not, in words, and the seconds that it took."""

    mutant: Mutant
    is_seen: bool
    words: str
    seconds: float


@contextmanager
def package_copy():
    """Yield a folder that holds the package as arcface_mxnet, to be put before all others."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src", Path(folder) / "arcface_mxnet", ignore=ignored)
        yield Path(folder)


def pytest_exit(folder: Path, tests: tuple[str, ...]) -> tuple[int | None, str]:
    """Return pytest's exit code, None if it took too long, and the end of what it said."""
    environment = {
        **os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", *OPTIONS, *tests]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=SECONDS, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return None, f"no end in {SECONDS} s"
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, (failed or lines or ["nothing"])[-1].strip()


def try_one(mutant: Mutant, tests: tuple[str, ...] | None = None) -> Outcome:
    """Return whether the tests (default: the fault's own) fail with the fault."""
    start = time.monotonic()
    tests = mutant.tests if tests is None else tests

    def outcome(is_seen: bool, words: str) -> Outcome:
        return Outcome(mutant, is_seen, words, time.monotonic() - start)

    if not tests:
        return outcome(False, "no test is named")
    try:
        text = mutant.applied()
    except ValueError as error:
        return outcome(False, f"does not apply: {error}")
    with package_copy() as folder:
        path = folder / "arcface_mxnet" / Path(mutant.file).relative_to("src")
        path.write_text(text, encoding="utf-8")
        code, words = pytest_exit(folder, tests)
    if code is None or code == FAILED or (code is not None and code < 0):
        return outcome(True, words)
    return outcome(False, f"survived (pytest ended with {code}): {words}")


def sound_tests_fail(mutants: list[Mutant]) -> str | None:
    """Return why the named tests fail on the package as it is, None if they pass.

    A test that fails anyway sees no fault.
    """
    tests = tuple(sorted({test for mutant in mutants for test in mutant.tests}))
    if not tests:
        return None
    with package_copy() as folder:
        code, words = pytest_exit(folder, tests)
    return None if code == 0 else f"pytest ended with {code}: {words}"


def try_all(mutants: list[Mutant], jobs: int, report) -> list[Outcome]:
    """Return all outcomes, in order; report(outcome) is called as each is known."""
    outcomes = []
    with ThreadPoolExecutor(jobs) as pool:
        for outcome in pool.map(try_one, mutants):
            report(outcome)
            outcomes.append(outcome)
    return outcomes


@cache
def _passes(test: str) -> bool:
    """Return whether a test file passes on the package as it is."""
    with package_copy() as folder:
        return pytest_exit(folder, (test,))[0] == 0


def find_tests(mutant: Mutant) -> tuple[str, ...]:
    """Return the first test file that sees a fault, nearest first, empty if none does.

    Looked at are those of its folder that are not SLOW, and the flags of whole commands.  A file
    that does not pass without the fault sees nothing.
    """
    folder, stem = Path(mutant.file).parent.name, Path(mutant.file).stem
    near = sorted((ROOT / "tests" / folder).glob("test_*.py"))
    near = [path for path in near if path.name not in SLOW]
    near.sort(key=lambda path: (path.stem != f"test_{stem}", stem not in path.read_text()))
    flags = sorted((ROOT / "tests" / "end_to_end").glob("test_*flags.py"))
    files = near + (flags if folder in ("training", "batches", "losses") else [])
    for path in files:
        test = str(path.relative_to(ROOT))
        if try_one(mutant, (test,)).is_seen and _passes(test):
            return (test,)
    return ()

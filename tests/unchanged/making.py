"""Make a folder: draw what is given, then run every step with the package of one checkout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
import contextlib
import hashlib
from importlib.metadata import PackageNotFoundError, version
import json
import os
from pathlib import Path
import platform
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests.unchanged.drawn import draw
from tests.unchanged.steps import MODELS, STEPS, Step

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MADE = "made.json"  # what was made, with what; written last
ERRORS = "stderr"  # what every step said beside its results: progress, speeds, warnings
TIMEOUT = 900  # seconds for one step
WORKERS = 2  # steps at once, each on one core

# One thread each: sums of floats depend on how they are cut into parts.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# These would change what is computed, or where; a user's own setting must not.
DROPPED = ("MXNET_", "DMLC_", "PYTHON", "MPL", "SOURCE_DATE_EPOCH", "ARCFACE_")
# Of these versions the results may depend.
PACKAGES = (
    "mxnet", "mxnet-cu112", "numpy", "scipy", "opencv-python", "scikit-image", "scikit-learn",
    "onnx", "onnxruntime", "onnxruntime-openvino",
)  # fmt: skip


class Unfound(ValueError):
    """A checkout has no such program."""


def make(folder: Path, checkout: Path, models: Path) -> list[str]:
    """Make the folder with a checkout's package; return the names of the steps that failed.

    models: folder with the detector's networks; what needs them is skipped, and the folder says
    so, where it is absent.  Raises ValueError if the folder is not empty or the checkout none.
    """
    source = checkout / "src"
    if not (source / "__init__.py").is_file() or not (checkout / "setup.py").is_file():
        raise ValueError(f"--checkout {checkout}: no setup.py with a package in src/")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: what lies there would be compared too")
    folder.mkdir(parents=True, exist_ok=True)
    draw(folder / "given")
    for one in STEPS:
        (folder / one.folder).mkdir(parents=True, exist_ok=True)
        (folder / one.stdout).parent.mkdir(parents=True, exist_ok=True)
    (folder / ERRORS).mkdir()
    has_models = models.is_dir()
    if has_models:
        (folder / MODELS).parent.mkdir()
        (folder / MODELS).symlink_to(models.resolve(), target_is_directory=True)
    with tempfile.TemporaryDirectory() as temporary:
        environment = environment_of(source, Path(temporary))
        with compiled_libraries(Path(environment["XDG_CACHE_HOME"])):
            done = run_steps(folder, checkout, environment, has_models)
    facts = {
        "folder": str(folder.resolve()),
        "revision": revision(checkout),
        "script": fingerprint(),
        "python": platform.python_version(),
        "processor": processor(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
        "steps": done,
    }
    (folder / MADE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return [name for name, said in done.items() if said.get("fault")]


def run_steps(
    folder: Path, checkout: Path, environment: dict[str, str], has_models: bool
) -> dict[str, dict[str, Any]]:
    """Run every step once those before it are done; return what made.json says of each."""
    futures: dict[str, Future] = {}
    servers = [Server(checkout / "src", environment) for _ in range(WORKERS)]
    free = queue.SimpleQueue()
    for server in servers:
        free.put(server)

    def run(one: Step) -> dict[str, Any]:
        if one.needs_models and not has_models:
            return {"skipped": "the detector's networks are absent: arcface-fetch fetch mtcnn"}
        for name in one.after:
            futures[name].result()
        server = free.get()
        try:
            said = run_step(one, folder, checkout, server)
        finally:
            free.put(server)
        state = f"FAILED: {said['fault']}" if said["fault"] else f"{said['seconds']:.1f} s"
        print(f"  {one.name}: {state}", file=sys.stderr)
        return said

    # A step stands behind those that it waits for, so the first one at work never waits.
    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            for one in STEPS:
                futures[one.name] = pool.submit(run, one)
            return {name: future.result() for name, future in futures.items()}
    finally:
        for server in servers:
            server.close()


class Server:
    """A process that runs one step at a time, each in a process of its own: server.py."""

    def __init__(self, source: Path, environment: dict[str, str]):
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), str(source)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, **job: Any) -> int:
        """Return the exit code of a job.  Raises ValueError if the server is gone."""
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())
        except (OSError, ValueError):
            raise ValueError("the process that runs the steps has ended, see above") from None

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it may have ended before
            self._process.stdin.close()
        self._process.wait()


def run_step(one: Step, folder: Path, checkout: Path, server: Server) -> dict[str, Any]:
    """Run one step; return its seconds, and what is wrong ("" if nothing is)."""
    began = time.monotonic()
    try:
        target, *first = find(one.program, checkout)
    except Unfound as error:
        return {"fault": str(error), "seconds": 0.0}
    errors = (folder / ERRORS / f"{one.name}.txt").absolute()
    code = server.run(
        target=target,
        arguments=[*first, *one.arguments],
        folder=str((folder / one.folder).absolute()),
        stdout=str((folder / one.stdout).absolute()),
        stderr=str(errors),
        seconds=TIMEOUT,
    )
    fault = ""
    if code != one.code:
        lines = errors.read_text(errors="replace").strip().splitlines() or ["nothing on stderr"]
        fault = f"exit code {code}: {lines[-1][:300]}"
    return {"fault": fault, "seconds": round(time.monotonic() - began, 2)}


def find(program: str, checkout: Path) -> list[str]:
    """Return what server.py is to run for a step's program, as this checkout names it.

    Raises Unfound if it has none, or several.
    """
    kind, _, name = program.partition(" ")
    if kind == "surface":
        return [str(HERE / "surface.py"), name]
    if kind == "module":
        return [f"{module_named(name, checkout / 'src')}:main"]
    if program.endswith(".py"):
        if not (checkout / program).is_file():
            raise Unfound(f"no {program} in this checkout")
        return [str(checkout / program)]
    known = console_scripts(checkout)
    if program not in known:
        raise Unfound(f"no {program} among the console_scripts of setup.py")
    return [known[program]]


def console_scripts(checkout: Path) -> dict[str, str]:
    """Return module:function of every console script that a checkout's setup.py enters."""
    text = (checkout / "setup.py").read_text(encoding="utf-8")
    return dict(re.findall(r'"(arcface-[\w-]+) = (arcface_mxnet[\w.]*:\w+)"', text))


def module_named(name: str, source: Path) -> str:
    """Return the only module with this last name that is a script, wherever it lies."""
    found = [
        path
        for path in sorted(source.rglob(f"{name}.py"))
        if "\ndef main(" in path.read_text(encoding="utf-8")
    ]
    if len(found) != 1:
        raise Unfound(f"{len(found)} scripts {name}.py in this checkout, 1 wanted")
    return ".".join(("arcface_mxnet", *found[0].relative_to(source).with_suffix("").parts))


def environment_of(source: Path, folder: Path) -> dict[str, str]:
    """Return the environment of every step; folder: for a link to the package."""
    (folder / "path").mkdir()
    (folder / "path" / "arcface_mxnet").symlink_to(source.resolve(), target_is_directory=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    return kept | dict.fromkeys(THREADS, "1") | {
        "PYTHONPATH": str(folder / "path"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "CUDA_VISIBLE_DEVICES": "-1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": "100",
    }  # fmt: skip


@contextlib.contextmanager
def compiled_libraries(cache: Path) -> Iterator[None]:
    """Lend the user's compiled libraries to this cache, and keep what is compiled meanwhile.

    Nothing else of the user's cache is lent: what one revision put there must not stand in for
    what the other one makes.  A library's name is a hash of all that decides its bytes, and
    compiling takes a minute.
    """
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arcface_mxnet"
    lent = cache / "arcface_mxnet"
    lent.mkdir(parents=True)
    for library in user.glob("*.so"):
        shutil.copyfile(library, lent / library.name)
    yield
    user.mkdir(mode=0o700, parents=True, exist_ok=True)
    for library in lent.glob("*.so"):
        if not (user / library.name).exists():
            part = user / f"{library.name}.part-{os.getpid()}"
            shutil.copyfile(library, part)
            part.replace(user / library.name)


@contextlib.contextmanager
def checked_out(name: str) -> Iterator[Path]:
    """Yield a folder with a revision of this repository; it is gone afterwards.

    Raises ValueError for a revision that is not there.
    """
    git = ["git", "-C", str(ROOT)]
    with tempfile.TemporaryDirectory(prefix="unchanged-") as temporary:
        checkout = Path(temporary) / "checkout"
        try:
            run_git([*git, "worktree", "add", "--quiet", "--detach", str(checkout), name])
            yield checkout
        finally:
            if checkout.exists():
                run_git([*git, "worktree", "remove", "--force", str(checkout)])


def run_git(command: Sequence[str]) -> str:
    """Return what git prints.  Raises ValueError with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"git: {done.stderr.strip()}")
    return done.stdout.strip()


def revision(checkout: Path) -> str:
    """Return the revision of a checkout, with "changed" where files differ from it."""
    try:
        git = ["git", "-C", str(checkout)]
        if Path(run_git([*git, "rev-parse", "--show-toplevel"])).resolve() != checkout.resolve():
            return "no checkout of git"
        changed = run_git([*git, "status", "--porcelain", "--", "src", "deploy", "setup.py"])
        return run_git([*git, "rev-parse", "HEAD"]) + (" changed" if changed else "")
    except (ValueError, OSError):
        return "no checkout of git"


def fingerprint() -> str:
    """Return a hash of what decides which files are made."""
    digest = hashlib.sha256()
    for name in ("drawn.py", "steps.py", "surface.py", "server.py", "making.py"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:16]


def processor() -> str:
    """Return the model of the processor: kernels are chosen by it."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(errors="replace") if path.is_file() else ""
    found = re.search(r"^model name\s*: (.*)$", text, re.M)
    return found[1] if found else platform.processor()


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

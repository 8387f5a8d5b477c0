"""What this machine has, what of it does not work, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys

from .. import __version__
from ..compiler import BuildError, find_compiler, user_cache_dir
from ..cores import num_threads, usable_cores
from ..cuda import wheel_serves
from ..engines.packages import MXNET_FOR_GPUS, PACKAGES, installed_packages
from .probes import Answer, ask

GOOD, NOTE, BAD = "ok", "note", "bad"
PYTHONS = ((3, 10), (3, 12))  # first and last on which MXNet 1.9.1 runs
NEEDED = ("numpy", "cv2", "scipy", "sklearn", "skimage", "matplotlib", "tqdm")
LIBRARIES = (
    "numpy", "scipy", "scikit-learn", "scikit-image", "matplotlib", "tqdm", "easydict",
    "opencv-python", "opencv-python-headless", "onnx", "pyarrow", "torch", "tensorboardX",
    "fastapi", "uvicorn",
)  # fmt: skip
VARIABLES = (
    "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "XDG_CACHE_HOME", "CXX",
    "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR",
)  # fmt: skip
LOW_DISK = 2 << 30  # bytes


@dataclass(frozen=True)
class Finding:
    """topic, value: words.  state: ok, note (something is missing that not everyone needs) or bad
    (nothing works without it).  cure: what to do, or ""."""

    topic: str
    value: str
    state: str = GOOD
    cure: str = ""


def findings(root: Path, limit: float) -> list[Finding]:
    """Return everything, in the order in which a person reads it.

    root: where models/ and datasets/ are looked for.  limit: seconds of a probe.  It never raises:
    a check that fails is a finding.
    """
    out: list[Finding] = []
    for check in CHECKS:
        try:
            out += check(root, limit)
        except Exception as error:  # what nobody foresaw is just what a bug report wants
            topic = check.__name__.strip("_")
            out.append(Finding(topic, f"cannot be told: {type(error).__name__}: {error}", NOTE))
    return out


def works(found: list[Finding]) -> bool:
    """Return whether the basic things do: nothing is bad."""
    return all(one.state != BAD for one in found)


def _system(root: Path, limit: float) -> Iterator[Finding]:
    yield Finding("arcface_mxnet", f"{__version__} in {Path(__file__).parents[1]}")
    libc = " ".join(platform.libc_ver())
    yield Finding("system", f"{platform.platform()}, {platform.machine()}, {libc or 'no glibc'}")
    processor = _line_of(Path("/proc/cpuinfo"), "model name")
    threads = os.environ.get("OMP_NUM_THREADS", "")
    words = [f"{usable_cores()} usable of {os.cpu_count()} logical, {num_threads()} threads"]
    words += [processor] if processor else []
    words += [f"OMP_NUM_THREADS={threads}"] if threads else []
    yield Finding("cores", "; ".join(words))
    total, free = (_line_of(Path("/proc/meminfo"), name) for name in ("MemTotal", "MemAvailable"))
    if total:
        yield Finding("memory", f"{total} in all, {free or '?'} available")
    space = shutil.disk_usage(root).free
    is_low = space < LOW_DISK
    yield Finding(
        "disk", f"{space / 2**30:.1f} GiB free in {root.absolute()}", NOTE if is_low else GOOD,
        "datasets and checkpoints want more; work in another folder" if is_low else "",
    )  # fmt: skip
    given = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    given += [f"{name}={value}" for name, value in sorted(os.environ.items())
              if name.startswith("MXNET_")]  # fmt: skip
    yield Finding("environment", "; ".join(given) or "nothing set that matters")


def _python(root: Path, limit: float) -> Iterator[Finding]:
    here = sys.version_info[:2]
    first, last = PYTHONS
    where = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    value = f"{platform.python_version()} ({sys.executable}), {where}"
    if here < first:
        yield Finding("Python", value, BAD, "install Python 3.10, 3.11 or 3.12")
    elif here > last:
        yield Finding("Python", value, NOTE, "MXNet needs 3.10 to 3.12; embedding works without it")
    else:
        yield Finding("Python", value)
    together = ask(f"import {', '.join(NEEDED)}; answer(1)", limit=limit)
    missing = [
        name for name in (NEEDED if together.reason else ())
        if ask(f"import {name}; answer(1)", limit=limit).reason
    ]  # fmt: skip
    yield Finding(
        "libraries", ", ".join(f"{n} {v}" for n, v in _versions(LIBRARIES)),
        BAD if missing else GOOD,
        f"{', '.join(missing)} do not load: pip install 'arcface_mxnet[cpu]'" if missing else "",
    )  # fmt: skip


def _engines(root: Path, limit: float) -> Iterator[Finding]:
    mxnet, onnx = _mxnet(limit), _onnxruntime(limit)
    if mxnet.state != GOOD and onnx.state != GOOD:
        cure = "neither MXNet nor onnxruntime works, and one must: pip install 'arcface_mxnet[cpu]'"
        yield Finding(mxnet.topic, mxnet.value, BAD, cure)
    else:
        yield mxnet
    yield onnx
    found = ask("import torch; answer([torch.__version__, torch.cuda.is_available()])", limit=limit)
    if found.value:
        number, has_gpu = found.value
        yield Finding("PyTorch", f"{number}, {'sees' if has_gpu else 'sees no'} GPU")
    else:
        yield Finding("PyTorch", _absent("torch", found), NOTE, "not needed on a CPU")


def _mxnet(limit: float) -> Finding:
    builds = dict(_versions(("mxnet", *MXNET_FOR_GPUS, "mxnet-mkl", "mxnet-native")))
    if len(builds) > 1:
        both = " and ".join(builds)
        return Finding("MXNet", both, NOTE, f"two packages of one module: pip uninstall -y {both}, "
                       "then pip install 'arcface_mxnet[cpu]' or '[cu112]'")  # fmt: skip
    found = ask(
        "import arcface_mxnet, mxnet as mx\n"
        "x = mx.nd.ones((2, 3)); value = float(mx.nd.dot(x, x.T).asnumpy()[0, 0])\n"
        "answer([mx.__version__, value])", limit=limit,
    )  # fmt: skip
    name = ", ".join(f"{name} {number}" for name, number in builds.items())
    if found.value and found.value[1] == 3.0:
        return Finding("MXNet", f"{name or found.value[0]}: loads and computes")
    cure = "to train: pip install 'arcface_mxnet[cpu]' with Python 3.10 to 3.12"
    return Finding("MXNet", f"{name or 'not installed'}: {found.reason or found.value}", NOTE, cure)


def _onnxruntime(limit: float) -> Finding:
    builds = installed_packages(PACKAGES)
    name = ", ".join(f"{name} {number}" for name, number in builds.items())
    if len(builds) > 1:
        return Finding("onnxruntime", name, NOTE, "two packages of one module: pip uninstall -y "
                       f"{' '.join(builds)}; pip install 'arcface_mxnet[embed]'")  # fmt: skip
    found = ask(
        "import onnxruntime as o; answer([o.__version__, o.get_available_providers()])", limit=limit
    )
    if found.value:
        providers = ", ".join(found.value[1])
        return Finding("onnxruntime", f"{name or found.value[0]}: {providers}")
    cure = "to embed fast: pip install 'arcface_mxnet[embed]', for a GPU '[gpu]'"
    return Finding("onnxruntime", _absent(name, found), NOTE, cure)


def _compiler(root: Path, limit: float) -> Iterator[Finding]:
    try:
        compiler = find_compiler()
    except BuildError as error:
        yield Finding("compiler", str(error), NOTE, "training on a CPU is faster with one: install "
                      "g++ (apt install g++)")  # fmt: skip
    else:
        said = subprocess.run(
            [compiler, "--version"], capture_output=True, timeout=limit, text=True
        )
        yield Finding("compiler", f"{compiler}: {(said.stdout.splitlines() or ['?'])[0]}")
    found = ask(
        "from arcface_mxnet.ops.library import load_operators; answer(bool(load_operators()))",
        limit=max(limit, 120),
    )
    if found.value:
        yield Finding("operators", "our operators for training on a CPU are compiled and load")
    else:
        why = found.reason or "they do not load; training says why and uses MXNet's"
        yield Finding("operators", why, NOTE, "needed for fast training on a CPU alone: a compiler "
                      "and MXNet")  # fmt: skip


def _gpus(root: Path, limit: float) -> Iterator[Finding]:
    found = ask(
        "from arcface_mxnet.cuda import compute_capabilities; answer(compute_capabilities())",
        limit=limit,
    )
    smi = shutil.which("nvidia-smi")
    names = ""
    if smi:
        fields = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        try:
            said = subprocess.run([smi, *fields], capture_output=True, text=True, timeout=limit)
            names = "; ".join(line.strip() for line in said.stdout.splitlines() if line.strip())
        except (OSError, subprocess.SubprocessError) as error:
            names = f"nvidia-smi does not answer: {error}"
    if not found.value:
        yield Finding("GPU", found.reason or names or "none that a driver tells of")
        return
    for number, (major, minor) in enumerate(found.value):
        is_served = wheel_serves((major, minor))
        words = "mxnet-cu112 serves it" if is_served else "mxnet-cu112 has no code for it"
        cure = "" if is_served else ("to embed: pip install 'arcface_mxnet[gpu]'; to train with "
                                     "MXNet: a card of 5.0 to 8.9")  # fmt: skip
        yield Finding(f"GPU {number}", f"compute capability {major}.{minor}: {words}",
                      GOOD if is_served else NOTE, cure)  # fmt: skip
    yield Finding("driver", names or "nvidia-smi is not there")


def _caches(root: Path, limit: float) -> Iterator[Finding]:
    folder = user_cache_dir()
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    value = f"{folder}: {len(files)} files, {size / 2**20:.1f} MiB"
    if os.access(nearest, os.W_OK):
        yield Finding("cache", value)
    else:
        yield Finding("cache", f"{value}, and cannot be written", NOTE, "set XDG_CACHE_HOME to a "
                      "folder that can, or operators are compiled at every start")  # fmt: skip


def _fetched(root: Path, limit: float) -> Iterator[Finding]:
    found = ask(
        "from arcface_mxnet.fetch.sources import SOURCES\n"
        "answer({name: [source.package + '==' + source.version, list(source.files)]"
        " for name, source in SOURCES.items()})", limit=limit,
    )  # fmt: skip
    for name, (package, files) in (found.value or {}).items():
        there = sum((root / file).is_file() for file in files)
        words = f"{there} of {len(files)} files of {package} in {root.absolute()}"
        if there == len(files):
            yield Finding(f"fetched {name}", words)
        else:
            yield Finding(f"fetched {name}", words, NOTE, f"arcface-fetch fetch {name}")
    if not found.value:
        yield Finding("fetched", found.reason, NOTE)


CHECKS: tuple[Callable[[Path, float], Iterator[Finding]], ...] = (
    _system, _python, _engines, _compiler, _gpus, _caches, _fetched,
)  # fmt: skip


def _versions(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _absent(name: str, found: Answer) -> str:
    if "ModuleNotFoundError" in found.reason:
        return "not installed"
    return f"{name}: {found.reason}"


def _line_of(path: Path, name: str) -> str:
    """Return what a file of /proc says of a name, "" where there is no such file or line."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")

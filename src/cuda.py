"""What MXNet needs of CUDA: its libraries, from wheels, and a GPU that its wheel has code for."""

from __future__ import annotations

from collections.abc import Iterable
import ctypes
from importlib.metadata import PackageNotFoundError, distribution
import itertools
import os
from pathlib import Path
import shutil
import subprocess

# Wheels in the order in which their libraries need one another.
WHEELS = (
    "nvidia-cuda-runtime-cu11",
    "nvidia-nvtx-cu11",
    "nvidia-cuda-nvrtc-cu11",
    "nvidia-cublas-cu11",
    "nvidia-cufft-cu11",
    "nvidia-curand-cu11",
    "nvidia-cusolver-cu11",
    "nvidia-cudnn-cu11",
    "nvidia-nccl-cu11",
)

Capability = tuple[int, int]  # compute capability: major, minor

# mxnet-cu112 1.9.1 has machine code for 5.0, 6.0, 7.0, 8.0 and 8.6 and no PTX (read with
# cuobjdump).  Code runs on its own major number, from its minor one on: these are whole.
SERVED_MAJORS = (5, 6, 7, 8)

# The driver's interface, cuda.h.
DRIVER = "libcuda.so.1"
NO_DEVICE = 100
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76

ASK_NVIDIA_SMI = ("--query-gpu=compute_cap", "--format=csv,noheader")
NVIDIA_SMI_TIMEOUT = 10  # seconds, so that a driver that hangs does not hang the command


def library_paths() -> list[Path]:
    """Return the shared libraries of all installed CUDA 11 wheels, wheel by wheel.

    Raises FileNotFoundError naming the wheels that are missing.
    """
    paths, missing = [], []
    for wheel in WHEELS:
        try:
            files = distribution(wheel).files or []
        except PackageNotFoundError:
            missing.append(wheel)
            continue
        libraries = [Path(str(f.locate())) for f in files if ".so" in f.name and "/lib/" in str(f)]
        paths += sorted(libraries)
    if missing:
        raise FileNotFoundError(
            f"mxnet-cu112 needs the CUDA 11 wheels and these are not installed: "
            f"{', '.join(missing)}; install the extra: pip install 'arcface_mxnet[cu112]'"
        )
    return paths


def preload() -> None:
    """Load every library of the CUDA 11 wheels so that libmxnet.so finds them by name.

    A library may need a later one of its own wheel, so what fails is tried again until a
    round loads nothing new.  Raises OSError with the loader's reason for what is left.
    """
    waiting = library_paths()
    while waiting:
        failed: list[tuple[Path, OSError]] = []
        for path in waiting:
            try:
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
            except OSError as reason:
                failed.append((path, reason))
        if len(failed) == len(waiting):
            listing = "; ".join(f"{path.name}: {reason}" for path, reason in failed)
            raise OSError(f"CUDA 11 libraries cannot be loaded: {listing}")
        waiting = [path for path, _ in failed]


def visible_entries() -> list[str] | None:
    """Return what CUDA_VISIBLE_DEVICES names, numbers or UUIDs; None where it is not set.

    As for CUDA itself the list ends before a negative or empty entry, so that -1 hides all.
    """
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is None:
        return None
    entries = (part.strip() for part in setting.split(","))
    return list(itertools.takewhile(lambda part: part and part[0] != "-", entries))


def compute_capabilities() -> list[Capability]:
    """Return the compute capability of every visible GPU, in the order of CUDA's numbers.

    Empty where there is none, and where neither the driver nor nvidia-smi can tell.
    """
    told = _ask_driver()
    return _ask_nvidia_smi() if told is None else told


def wheel_serves(capability: Capability) -> bool:
    """Tell whether mxnet-cu112 1.9.1 has code for GPUs of this compute capability."""
    return capability[0] in SERVED_MAJORS


def refuse_unserved(numbers: Iterable[int]) -> None:
    """Raise ValueError if one of these GPUs, by CUDA's numbers, is known to be unserved."""
    capabilities = dict(enumerate(compute_capabilities()))
    for number in numbers:
        if number in capabilities and not wheel_serves(capabilities[number]):
            major, minor = capabilities[number]
            raise ValueError(
                f"GPU {number} has compute capability {major}.{minor}: MXNet cannot run there, as "
                "mxnet-cu112 1.9.1 has machine code for 5.0 to 8.9 alone. To embed there: pip "
                "install 'arcface_mxnet[gpu]' in an environment of its own and --engine "
                "onnxruntime. To train there: pip install 'arcface_mxnet[torch]' and --engine "
                "torch; or on the CPU, without --gpus and with CUDA_VISIBLE_DEVICES=-1"
            )


def _ask_driver() -> list[Capability] | None:
    """Return the capabilities as libcuda tells them, None where it cannot be asked."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    state = driver.cuInit(0)
    if state == NO_DEVICE:
        return []
    count = ctypes.c_int()
    if state or driver.cuDeviceGetCount(ctypes.byref(count)):
        return None
    device, value, found = ctypes.c_int(), ctypes.c_int(), []
    for number in range(count.value):
        if driver.cuDeviceGet(ctypes.byref(device), number):
            return None
        pair = []
        for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR):
            if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
                return None
            pair.append(value.value)
        found.append((pair[0], pair[1]))
    return found


def _ask_nvidia_smi() -> list[Capability]:
    """Return the capabilities as nvidia-smi tells them, none where CUDA's numbers are not sure.

    It knows nothing of CUDA_VISIBLE_DEVICES and lists by PCI bus, where CUDA begins with the
    fastest card: among different cards the order counts only if CUDA_DEVICE_ORDER says it.
    """
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    try:
        answer = subprocess.run(
            [program, *ASK_NVIDIA_SMI],
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_TIMEOUT,
            check=True,
        ).stdout
        cards = [_capability(line) for line in answer.splitlines()]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    if len(set(cards)) > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        return []
    entries = visible_entries()
    if entries is None:
        return cards
    if not all(entry.isdecimal() for entry in entries):
        return []
    return [cards[int(entry)] for entry in entries if int(entry) < len(cards)]


def _capability(text: str) -> Capability:
    """Return (major, minor) of "8.6".  Raises ValueError for another form."""
    major, minor = text.strip().split(".")
    return int(major), int(minor)

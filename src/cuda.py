"""Load the CUDA 11 libraries of the nvidia-*-cu11 wheels before MXNet asks for them."""

from __future__ import annotations

import ctypes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

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

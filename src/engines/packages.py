"""Which package provides the module onnxruntime, and what it can run on.

onnxruntime, onnxruntime-openvino and onnxruntime-gpu install the same module.  pip lets two of
them in; the last one wins file by file, and taking one away leaves an empty module behind.
"""

from __future__ import annotations

from collections.abc import Iterable
import functools
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PACKAGES = (
    "onnxruntime",
    "onnxruntime-openvino",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-training",
    "onnxruntime-rocm",
    "onnxruntime-migraphx",
    "onnxruntime-qnn",
    "onnxruntime-cann",
    "onnxruntime-silicon",
)
MXNET_FOR_GPUS = ("mxnet-cu112", "mxnet-cu110", "mxnet-cu102", "mxnet-cu101", "mxnet-cu100")
HOW = "pip install 'arcface_mxnet[embed]' for a CPU, 'arcface_mxnet[gpu]' for a GPU"
# What a processor says of itself when it multiplies bfloat16.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def installed_packages(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the installed packages of the module onnxruntime, name -> version."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def has_onnxruntime() -> bool:
    """Return whether there is a module onnxruntime, sound or not."""
    return find_spec("onnxruntime") is not None


def has_mxnet() -> bool:
    """Return whether MXNet is installed.  Does not import it."""
    return find_spec("mxnet") is not None


def has_mxnet_for_gpus() -> bool:
    """Return whether the MXNet that is installed is a CUDA build."""
    return has_mxnet() and bool(installed_packages(MXNET_FOR_GPUS))


@functools.cache
def onnxruntime_module() -> ModuleType:
    """Return the module onnxruntime.

    Raises ValueError if it is not there, is there twice, or is what an uninstalled package left.
    """
    found = installed_packages()
    if len(found) > 1:
        raise ValueError(
            f"{len(found)} packages of the module onnxruntime are installed, "
            f"{' and '.join(found)}; which of their files win is chance. Take all away and "
            f"install one: pip uninstall -y {' '.join(found)}, then {HOW}"
        )
    if not has_onnxruntime():
        raise ValueError(f"onnxruntime is not installed: {HOW}")
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"onnxruntime does not load ({error}): install it again, {HOW}") from None
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ValueError(
            "the module onnxruntime is empty, as an uninstalled package of that name leaves it: "
            f"install one again with --force-reinstall, {HOW}"
        )
    return onnxruntime


def onnxruntime_build() -> tuple[str, str]:
    """Return package and version of the module onnxruntime."""
    built = {"onnxruntime": onnxruntime_module().__version__}  # from source, perhaps
    ((package, number), *_) = (installed_packages() or built).items()
    return package, number


@functools.cache
def has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16, as Linux tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return bool(BFLOAT16_FLAGS & set(flags.split()))

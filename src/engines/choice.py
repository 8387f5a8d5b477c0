"""Which engine runs a network, on which device, and why.

On a CPU onnxruntime (benchmarks/embedding.py prints by how much it is the faster one), on a GPU
MXNet where its wheel has code for the card, else onnxruntime's CUDA provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..cuda import compute_capabilities, refuse_unserved, wheel_serves
from .packages import has_mxnet, has_mxnet_for_gpus, has_onnxruntime
from .session import DTYPES, has_cuda_provider, provider

ENGINES = ("auto", "mxnet", "onnxruntime")
CPU = -1


@dataclass(frozen=True)
class Engine:
    """name: "mxnet" or "onnxruntime".  devices: CUDA's numbers, or CPU entries (-1), as many as
    share a batch.  reason: why it was taken, empty if it was asked for."""

    name: str
    devices: tuple[int, ...]
    dtype: str = "float32"
    reason: str = ""

    def __str__(self) -> str:
        gpus = [str(device) for device in self.devices if device != CPU]
        where = f"GPU {', '.join(gpus)}" if gpus else "the CPU"
        why = f" (auto: {self.reason})" if self.reason else ""
        return f"{self.name} on {where}, {self.dtype}{why}"


def device_numbers(ctx: Any) -> tuple[int, ...]:
    """Return CUDA's number of each device, -1 for a CPU.

    ctx: a number, an mx.Context, several of them, or None for the CPU.
    """
    if ctx is None:
        return (CPU,)
    if isinstance(ctx, int):
        return (ctx if ctx >= 0 else CPU,)
    if isinstance(ctx, str):
        raise ValueError(f"device {ctx!r}: give a GPU's number, -1 for the CPU, or an mx.Context")
    if isinstance(ctx, Sequence):
        return tuple(number for one in ctx for number in device_numbers(one)) or (CPU,)
    return (ctx.device_id if ctx.device_type == "gpu" else CPU,)


def default_gpu() -> int:
    """Return 0 where there is a GPU that an installed engine can use, else -1."""
    capabilities = compute_capabilities()
    if not capabilities:
        return CPU
    if (has_mxnet_for_gpus() and wheel_serves(capabilities[0])) or has_cuda_provider():
        return 0
    return CPU


def choose_engine(
    model: str, engine: str = "auto", ctx: Any = None, dtype: str = "float32"
) -> Engine:
    """Return the engine for a model.

    model: checkpoint "prefix,number", or an ONNX file.  ctx: as device_numbers.
    Raises ValueError for an engine that does not exist, is not installed, or cannot run the model
    there or in that dtype.
    """
    if engine not in ENGINES:
        raise ValueError(f"--engine {engine!r}: known are {', '.join(ENGINES)}")
    if dtype not in DTYPES:
        raise ValueError(f"--dtype {dtype!r}: known are {', '.join(DTYPES)}")
    devices, is_onnx = device_numbers(ctx), model.endswith(".onnx")
    name, reason = engine, ""
    if engine == "auto":
        name, reason = _fastest(is_onnx, devices, dtype)
    if name == "mxnet":
        _check_mxnet(model, is_onnx, devices, dtype)
    else:
        _check_onnxruntime(is_onnx, devices, dtype)
        devices = devices if devices[0] != CPU else (CPU,)  # shares of one CPU gain nothing
    return Engine(name, devices, dtype, reason)


def _fastest(is_onnx: bool, devices: tuple[int, ...], dtype: str) -> tuple[str, str]:
    if is_onnx:
        return "onnxruntime", "an ONNX file"
    if dtype != "float32":
        return "onnxruntime", f"{dtype} is its"
    has_library = has_onnxruntime() and find_spec("onnx") is not None
    if devices[0] == CPU:
        if has_library:
            return "onnxruntime", "the faster one on a CPU"
        if has_mxnet():
            return "mxnet", "onnxruntime is not installed"
        raise ValueError(
            "nothing here can run a checkpoint: pip install 'arcface_mxnet[embed]' (onnxruntime)"
        )
    if not has_mxnet_for_gpus():
        return "onnxruntime", "the MXNet that is installed knows no GPU"
    capabilities = compute_capabilities()
    wanted = [number for number in devices if number < len(capabilities)]
    if all(wheel_serves(capabilities[number]) for number in wanted):
        return "mxnet", "its wheel has code for this GPU"
    return "onnxruntime", "MXNet's wheel has no code for this GPU"


def _check_mxnet(model: str, is_onnx: bool, devices: tuple[int, ...], dtype: str) -> None:
    if is_onnx:
        raise ValueError(f"{model}: MXNet reads checkpoints PREFIX,NUMBER, not ONNX files")
    if dtype != "float32":
        raise ValueError(f"--dtype {dtype}: MXNet embeds in float32; give --engine onnxruntime")
    if not has_mxnet():
        raise ValueError("--engine mxnet is not installed: pip install 'arcface_mxnet[cpu]'")
    refuse_unserved(number for number in devices if number != CPU)


def _check_onnxruntime(is_onnx: bool, devices: tuple[int, ...], dtype: str) -> None:
    if not is_onnx and find_spec("onnx") is None:
        raise ValueError("converting a checkpoint needs the package onnx: pip install onnx")
    gpus = [number for number in devices if number != CPU]
    if len(gpus) > 1:
        raise ValueError(
            f"--engine onnxruntime uses one GPU, and {len(gpus)} are named; name one, or give "
            "--engine mxnet"
        )
    provider(devices[0], dtype)  # refuses what is not installed or cannot be had

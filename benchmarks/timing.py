"""Medians of alternating runs: what is compared shares whatever else the machine is doing.

And what the machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
import platform
from statistics import median
import time

from arcface_mxnet.cores import num_threads


def alternate(
    works: Mapping[str, Callable[[], object]], rounds: int, *, settle: float = 0.0
) -> dict[str, float]:
    """Return the median seconds of each work, by name; all run once per round, in turn.

    One more round goes before, untimed: the first run prepares memory and kernels.  settle:
    seconds to wait before each, until threads of the one before no longer spin.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for round_number in range(rounds + 1):
        for name, work in works.items():
            time.sleep(settle)
            start = time.perf_counter()
            work()
            if round_number:
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def alternate_busy(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the least seconds that the processor took for each work, as alternate() lets them run.

    For a machine on which others compute: those wait for it, which the clock counts and this does
    not.  Of one thread (OMP_NUM_THREADS=1), since threads that spin are counted.
    """
    least = dict.fromkeys(works, float("inf"))
    for round_number in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if round_number:
                least[name] = min(least[name], time.process_time() - start)
    return least


def print_rates(title: str, images: int, seconds: Mapping[str, float]) -> None:
    """Print images/s of each, and as a multiple of the first."""
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"{title:24} {name:12} {images / value:8.2f} images/s   {first / value:5.2f} x stock")


def processor() -> str:
    """Return the processor's name and the features that decide here."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    features = {word for line in lines if line.startswith("flags") for word in line.split()}
    told = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in features]
    return f"{name or platform.processor()}, {num_threads()} threads, {' '.join(told)}"

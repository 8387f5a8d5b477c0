"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CPUS, QUOTA = Path("/sys/devices/system/cpu"), Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cpus: Path = CPUS, quota: Path = QUOTA) -> int:
    """Return the number of cores, at least 1.

    Processors of one core (hyper-threading) count once, those that the process may not run on not
    at all, and the quota of a container is the most.  cpus, quota: where Linux tells.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    siblings = (cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list" for cpu in allowed)
    cores = {_read(path) or path for path in siblings}
    limit, _, period = _read(quota).partition(" ")
    if limit.isdigit() and period.isdigit() and int(period):
        return max(1, min(len(cores), math.ceil(int(limit) / int(period))))
    return max(1, len(cores))


def num_threads() -> int:
    """Return how many threads a library is to compute with: OMP_NUM_THREADS, else the cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else usable_cores()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

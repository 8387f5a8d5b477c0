"""How much memory a process may still take."""

from __future__ import annotations

from pathlib import Path

import torch

MEMINFO, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
UNKNOWN = 1 << 62  # where nothing tells


def free_on_host(meminfo: Path = MEMINFO, group: Path = GROUP) -> int:
    """Return the bytes that the machine, or the container's limit, has left.

    meminfo, group: where Linux tells.
    """
    found = UNKNOWN
    for line in _text(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            found = int(line.split()[1]) * 1024
    limit, taken = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    if limit.isdigit() and taken.isdigit():
        # What is cached of files goes where memory is needed.
        cached = [line.split()[1] for line in _text(group / "memory.stat").splitlines()
                  if line.startswith("inactive_file ")]  # fmt: skip
        found = min(found, int(limit) - int(taken) + sum(map(int, cached)))
    return max(found, 0)


def free_on_gpu(device: torch.device) -> int:
    """Return the bytes that a GPU has left."""
    return torch.cuda.mem_get_info(device)[0]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

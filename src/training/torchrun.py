"""What torchrun says in the environment of the processes that it starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

STARTED = "TORCHELASTIC_RUN_ID"
NUMBERS = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT"
# What Gloo and NCCL listen on.
INTERFACES = "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"


class Place(NamedTuple):
    """Which process of a job this is.

    rank of count.  local_rank of local_count: on its machine.  host, port: of the store.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int
    host: str
    port: int


def place() -> Place | None:
    """Return which process of a job this is, None outside of one.

    Raises ValueError if the environment is not one that torchrun makes.
    """
    if STARTED not in os.environ:
        return None
    texts = [os.environ.get(name, "") for name in NUMBERS]
    bad = [f"{name}={text}" for name, text in zip(NUMBERS, texts, strict=True)
           if not text.isdecimal()]  # fmt: skip
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        bad.append("TORCH_DISABLE_SHARE_RDZV_TCP_STORE, which is to be unset")
    if bad:
        raise ValueError(
            f"{STARTED} is set, as torchrun sets it, but with {', '.join(bad)}; start the job as "
            "docs/scale.md shows"
        )
    rank, count, local_rank, local_count, port = map(int, texts)
    host = os.environ.get("MASTER_ADDR", "localhost")
    return Place(rank, count, local_rank, local_count, host, port)


def listen_on_loopback(mine: Place) -> None:
    """Let a job of one machine listen on that machine alone, unless the environment names another
    network interface."""
    if mine.count == mine.local_count:
        for name in INTERFACES:
            os.environ.setdefault(name, "lo")


def stopped_sibling(proc: Path = Path("/proc")) -> int | None:
    """Return the number of a process that torchrun started here and that has been stopped, or None.

    Known on Linux alone.
    """
    if not (proc / "self/stat").is_file():
        return None
    parent = os.getppid()
    return next((pid for pid, state in _children(proc, parent) if state == "T"), None)


def _children(proc: Path, parent: int) -> list[tuple[int, str]]:
    found = []
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            try:
                _, _, rest = (folder / "stat").read_text().rpartition(")")
            except OSError:
                continue  # it has just ended
            state, its_parent, *_ = rest.split()
            if int(its_parent) == parent:
                found.append((int(folder.name), state))
    return found

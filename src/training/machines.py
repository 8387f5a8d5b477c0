"""The machines of a job, which MXNet's parameter servers join; or this machine alone."""

from __future__ import annotations

from collections.abc import Sequence
import os

import mxnet as mx

# What MXNet's parameter server needs in the environment of every process.
DMLC_VARIABLES = (
    "DMLC_ROLE", "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER"
)  # fmt: skip


def count_machines(kind: str) -> int:
    """Return how many machines train together with this --kvstore.

    Raises ValueError if dist_sync is asked for outside a launched job.
    """
    if not kind.startswith("dist"):
        return 1
    missing = [name for name in DMLC_VARIABLES if name not in os.environ]
    if missing:
        raise ValueError(
            f"--kvstore {kind}: {', '.join(missing)} not set; start every process of the job as "
            "docs/distributed.md shows"
        )
    return int(os.environ["DMLC_NUM_WORKER"])


def join_machines(kind: str, ctx: Sequence[mx.Context]) -> mx.kvstore.KVStore | None:
    """Return what sums gradients over devices and machines, None where there is but one device."""
    return mx.kvstore.create(kind) if kind.startswith("dist") or len(ctx) > 1 else None

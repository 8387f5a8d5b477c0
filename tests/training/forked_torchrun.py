"""torchrun whose processes are forked from one that has imported PyTorch: half of what a small job
takes is importing it in each, anew at every restart.

    python -m tests.training.forked_torchrun RUNS

The agent, its restarts and the rendezvous are torchrun's.  RUNS as process.py has them.
"""

import json
import sys

from arcface_mxnet.training import loop, on_torch, world  # noqa: F401  (what the processes need)
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tests.training import process


def work(runs):
    if code := process.main(runs):
        sys.exit(code)


def main(runs):
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=max(one["count"] for one in runs),
        run_id="job",
        rdzv_backend="loopback",
        max_restarts=sum(len(one["faults"]) for one in runs),
        monitor_interval=0.1,
        start_method="fork",
    )
    try:
        elastic_launch(config, work)(runs)
    except ChildFailedError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))

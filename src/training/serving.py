"""The scheduler and the servers of a job, watched."""

from __future__ import annotations

import threading

from mxnet.kvstore.kvstore_server import KVStoreServer

from ..lazy_mxnet import mx
from .machines import count_machines, job_processes
from .watch import ALL, JOINING, Watch, beat, find_silent_node, find_silent_scheduler, silent

EVER = -(2**30)  # seconds; whoever has joined was silent that much longer than not at all


def serve(role: str) -> None:
    """Be the "scheduler" or a "server" until the job ends; end the process if others are gone.

    Raises ValueError for bad environment variables.
    """
    count_machines("dist_sync")
    watch, ended = Watch(every=beat()), threading.Event()
    kvstore = mx.kvstore.create("dist_sync")
    watching = threading.Thread(target=watch_job, args=(role, kvstore, watch, ended), daemon=True)
    watching.start()
    KVStoreServer(kvstore).run()
    ended.set()
    watching.join()
    watch.stop()


def watch_job(role: str, kvstore: mx.kvstore.KVStore, watch: Watch, ended: threading.Event) -> None:
    """End the process unless all processes of the job come, and then if one falls silent."""
    with watch.within(JOINING, f"waiting until {job_processes()} came"):
        while not ended.wait(1):  # at first, too: ps-lite takes no question before it runs
            if silent(kvstore, ALL, EVER):
                break
    find = find_silent_node if role == "scheduler" else find_silent_scheduler
    watch.ask(find(kvstore))
    ended.wait()
    watch.ask()

"""A rendezvous for torchrun on one machine that listens on that machine alone.

torchrun's own listen on every interface of the machine, and ask nobody who they are.  Its plugin
"loopback", of the entry points torchrun.handlers: torchrun --rdzv-backend loopback ...
"""

from __future__ import annotations

from collections.abc import Callable
import socket

from torch.distributed import PrefixStore, Store, TCPStore
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
)

HOST = "127.0.0.1"


class Loopback(RendezvousHandler):
    """The rendezvous of one machine with itself.  Raises ValueError for more machines."""

    def __init__(self, parameters: RendezvousParameters):
        if parameters.max_nodes != 1:
            raise ValueError(
                f"--rdzv-backend loopback is for one machine, and --nnodes says "
                f"{parameters.max_nodes}: give --rdzv-backend c10d and --rdzv-endpoint HOST:PORT, "
                "in a network of your own"
            )
        self._run_id = parameters.run_id
        self._store: TCPStore | None = None

    def get_backend(self) -> str:
        return "loopback"

    @property
    def use_agent_store(self) -> bool:
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        if self._store is None:
            listener = socket.create_server((HOST, 0))
            self._port = listener.getsockname()[1]
            self._store = TCPStore(
                HOST,
                self._port,
                is_master=True,
                wait_for_workers=False,
                master_listen_fd=listener.detach(),
            )
        store: Store = PrefixStore(self._run_id, self._store)
        return RendezvousInfo(store, 0, 1, RendezvousStoreInfo(HOST, self._port))

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        """Nobody else could come."""

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self._run_id

    def shutdown(self) -> bool:
        return True


def handler() -> Callable[[RendezvousParameters], RendezvousHandler]:
    """Return what makes the rendezvous, as torchrun's registry asks for it."""
    return Loopback

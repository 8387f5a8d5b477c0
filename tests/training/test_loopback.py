"""The rendezvous of a job on one machine listens on that machine alone."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.training.loopback import handler  # noqa: E402
from torch.distributed.elastic.rendezvous import RendezvousParameters  # noqa: E402

LISTENS = "0A"


def listeners(port):
    """Return the addresses, in hexadecimal, that somebody listens on at this port."""
    lines = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    found = []
    for line in lines.splitlines():
        _, address, _, state, *_ = line.split()
        host, _, its_port = address.partition(":")
        if state == LISTENS and int(its_port, 16) == port:
            found.append(host)
    return found


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux tells who listens")
def test_it_listens_on_loopback_alone():
    rendezvous = handler()(RendezvousParameters("loopback", "", "job", 1, 1))
    info = rendezvous.next_rendezvous()
    assert listeners(info.bootstrap_store_info.master_port) == ["0100007F"]
    info.store.set("key", "value")
    assert rendezvous.next_rendezvous().store.get("key") == b"value"


def test_several_machines_are_refused():
    with pytest.raises(ValueError, match="one machine, and --nnodes says 2"):
        handler()(RendezvousParameters("loopback", "", "job", 1, 2))

"""The processes of a job that torchrun started: each trains on one device.

What is waited for is waited for in short turns, between which the signs of life are looked at; so
no process waits for one that is gone.  One that does not come to look is ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
import json
import logging
import os
import socket
import sys
import time
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor
import torch.distributed as dist

from .. import __version__
from .divergence import DivergedError
from .machines import Machines, OtherMachineError, Word, padded
from .meeting import meet, missed, turns
from .pulse import BROKEN, SILENT, Lost, Pulse, tell_failure
from .torchrun import Place, listen_on_loopback
from .watch import LOST, TOGETHER, Watch

PROTOCOL = 1  # of what the processes tell each other; another one is refused
TURN = 0.5  # seconds of a wait, until the signs of life are looked at
GRACE = 8  # beats in which a process must notice that another is lost, or is ended
LEAVING = 25  # beats in which it must have left then, its last state saved
BLAME = 10.0  # seconds in which it shows who broke a connection
STORE = timedelta(seconds=15)  # in which the store must answer

logger = logging.getLogger(__name__)

# Held for ever: to free their connections would be to wait for those who are gone.
_broken: list[World] = []


class World(Machines):
    """The processes of a job, and the connections between them.

    where: each in words.  Waits until all have come; raises ValueError if one does not, or comes
    with another version.
    """

    validates_together = True

    def __init__(self, place: Place):
        listen_on_loopback(place)
        self.rank, self.count, self.local_rank = place.rank, place.count, place.local_rank
        self.where = [f"process {rank}" for rank in range(self.count)]
        self._is_broken = self._is_leaving = False
        self._exchanges = self._beats_since = 0
        self._group: dist.ProcessGroup | None = None
        self._is_gpu = False
        name = meet(open_store(place, "meeting"), self.rank, self.count)
        self._store = open_store(place, name)
        self._pulse = Pulse(open_store(place, name), self.rank, self.count)
        self._deaf, self._contacts = 0, -1
        self._watch = Watch(self._unnoticed, in_a_row=1)
        try:
            self._join()
        except BaseException as error:
            self.fail(error)
            self.close()
            raise

    def _join(self) -> None:
        mine = {
            "pid": os.getpid(), "host": socket.gethostname(), "protocol": PROTOCOL,
            "arcface_mxnet": __version__, "torch": str(torch.__version__),
        }  # fmt: skip
        told = [json.loads(text) for text in self.exchange(json.dumps(mine))]
        self.where = [
            f"process {rank} (pid {one.get('pid')} on {one.get('host')})"
            for rank, one in enumerate(told)
        ]
        self._pulse.listen(range(self.count))
        refuse_other_versions(told, self.where)
        dist.init_process_group(
            "gloo",
            store=dist.PrefixStore("control", self._store),
            rank=self.rank,
            world_size=self.count,
            timeout=timedelta(seconds=TOGETHER),
        )

    def group_on(self, device: torch.device) -> dist.ProcessGroup:
        """Return the process group for tensors on this device: NCCL's on a GPU, Gloo's on a CPU.

        All processes ask for it at the same place, the first time.
        """
        if self._group is None:
            self.tell(Word.GO)  # who failed until here is missed in a wait that can be broken off
            self._is_gpu = device.type == "cuda"
            kind = "nccl" if self._is_gpu else "gloo"
            self._group = dist.new_group(backend=kind, timeout=timedelta(seconds=TOGETHER))
        return self._group

    def fail(self, error: BaseException) -> None:
        """Tell the others that this process ends, and why."""
        self._is_broken = True
        words = (str(error).strip() or type(error).__name__).splitlines()
        reason = "failed: " + " ".join(word.strip() for word in words)
        try:
            is_diverged = isinstance(error, DivergedError)
            tell_failure(self._store, self.rank, reason, diverged=is_diverged)
        except RuntimeError as failure:  # the store is gone, and all notice that
            logger.error("the other processes could not be told: %s", failure)

    def close(self) -> None:
        self._pulse.stop()
        self._watch.stop()
        if self._is_broken:
            _broken.append(self)
        elif dist.is_initialized():
            dist.destroy_process_group()

    def tell(self, word: Word, facts: Sequence[int] = ()) -> tuple[list[Word], np.ndarray]:
        mine = torch.from_numpy(np.array([word, *padded(facts)], np.int64))
        found = torch.stack(self._gathered(mine)).numpy()
        return [Word(value) for value in found[:, 0].tolist()], found[:, 1:]

    def exchange(self, text: str) -> list[str]:
        self._exchanges += 1
        keys = [f"text/{self._exchanges}/{rank}" for rank in range(self.count)]
        self._store.set(keys[self.rank], text)
        self._wait_for(keys)
        return [self._store.get(key).decode() for key in keys]

    def _wait_for(self, keys: Sequence[str]) -> None:
        for _ in turns():
            if self._store.check(list(keys)):
                return
            self.check()
        raise missed([n for n, key in enumerate(keys) if not self._store.check([key])])

    def gather(self, rows: np.ndarray) -> list[np.ndarray]:
        counts = torch.stack(self._gathered(torch.tensor([len(rows)]))).flatten().tolist()
        filled = np.zeros((max(counts), *rows.shape[1:]), rows.dtype)
        filled[: len(rows)] = rows
        found = self._gathered(torch.from_numpy(filled))
        return [part.numpy()[:count] for part, count in zip(found, counts, strict=True)]

    def _gathered(self, mine: Tensor) -> list[Tensor]:
        """Return the tensors of all, which are in the CPU's memory and of one shape."""
        found = [torch.empty_like(mine) for _ in range(self.count)]
        self._await(lambda: dist.all_gather(found, mine, async_op=True), False)
        return found

    def wait(self, start: Callable[[], dist.Work | None]) -> None:
        """Wait for what `start` begins in the group of group_on(), with async_op=True.

        Raises OtherMachineError if another process is lost.
        """
        self._await(start, self._is_gpu)

    def _await(self, start: Callable[[], dist.Work | None], is_gpu: bool) -> None:
        try:
            work = start()
            ended = ended_on_gpu if is_gpu else ended_on_cpu
            while work is not None and not ended(work):
                self.check()
        except torch.OutOfMemoryError:
            raise  # of this process; no connection broke
        except RuntimeError as error:
            self._blame(error)

    def check(self) -> None:
        """Raise OtherMachineError if another process is lost."""
        if self._pulse.lost:
            self._leave(self._pulse.lost)

    def _blame(self, error: RuntimeError) -> NoReturn:
        """Raise OtherMachineError for who broke a connection."""
        self._is_leaving = True
        until = time.monotonic() + BLAME
        while time.monotonic() < until and not self._pulse.lost:
            if (rank := self._pulse.silent(BROKEN)) is not None:
                self._leave(Lost(rank, "was killed, or its machine or network is gone: its "
                                       "connections are closed"))  # fmt: skip
            time.sleep(0.1)
        self._leave(self._pulse.lost or Lost(-1, f"a connection broke: {error}"))

    def _leave(self, lost: Lost) -> NoReturn:
        self._is_broken = self._is_leaving = True
        raise OtherMachineError(lost.rank, lost.diverged, self._words(lost))

    def _words(self, lost: Lost) -> str:
        who = self.where[lost.rank] if lost.rank >= 0 else "the job"
        return f"{who} {lost.reason}"

    def _unnoticed(self) -> str | None:
        """Return why this process must be ended by force, once a beat, or None."""
        self._deaf = self._deaf + 1 if self._pulse.contacts == self._contacts else 0
        self._contacts = self._pulse.contacts
        lost = self._pulse.lost
        if self._deaf > SILENT and not lost:
            lost = Lost(-1, f"has no store any more: it has been silent for {SILENT} s")
        self._beats_since = self._beats_since + 1 if lost else 0
        if lost and self._beats_since > (LEAVING if self._is_leaving else GRACE):
            return f"{self._words(lost)}; this one ends too. Start all again with --resume"
        return None


def open_store(place: Place, name: str) -> dist.Store:
    """Return a connection of its own to what has this name in the store that torchrun keeps."""
    store = dist.TCPStore(place.host, place.port, is_master=False, timeout=STORE)
    return dist.PrefixStore(f"arcface/{name}", store)


def refuse_other_versions(told: Sequence[dict], where: Sequence[str]) -> None:
    """Raise ValueError unless all processes have the versions of the first."""
    for name in ("protocol", "arcface_mxnet", "torch"):
        for rank, one in enumerate(told):
            if one.get(name) != told[0].get(name):
                raise ValueError(
                    f"{where[rank]} has {name} {one.get(name)}, {where[0]} has "
                    f"{told[0].get(name)}; install the same version of arcface_mxnet and torch "
                    "everywhere"
                )


def ended_on_cpu(work: dist.Work) -> bool:
    """Wait for a turn; return whether it is done.  Raises RuntimeError if it failed."""
    try:
        work.wait(timedelta(seconds=TURN))
    except RuntimeError:
        if not work.is_completed():
            return False  # a turn long for nothing
        work.wait()  # done since, or failed
    return True


def ended_on_gpu(work: dist.Work) -> bool:
    """As ended_on_cpu(); NCCL's own wait cannot be broken off."""
    until = time.monotonic() + TURN
    while not work.is_completed():
        if time.monotonic() > until:
            return False
        time.sleep(0.0002)
    work.wait()
    return True


def leave_broken_job(code: int) -> None:
    """End this process at once where an ordinary end would wait for those who are gone."""
    if _broken:
        logging.shutdown()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code or LOST)

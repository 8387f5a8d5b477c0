"""The machines of a job, which MXNet's parameter servers join; or this machine alone.

The processes that torchrun started (world.py) have the same interface.

All machines make the same rounds: in each, every one tells the others how it stands, and waits
until all have.  One that fails takes part in the next round before it leaves, so that nobody
waits for it in a sum of gradients, and all end in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import ctypes
from enum import IntEnum
import logging
import os
from typing import Any

import numpy as np

from ..config import TrainConfig
from ..errors import CutShortError
from ..lazy_mxnet import mx
from . import torchrun
from .divergence import DivergedError
from .engine import chosen_engine
from .watch import JOINING, LEAVING, TOGETHER, Watch, beat, find_silent_scheduler

# What MXNet's parameter server needs in the environment of every process.
DMLC_VARIABLES = (
    "DMLC_ROLE", "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER"
)  # fmt: skip
ROUNDS = "run:rounds"  # its name in the kvstore, beside those of the parameters
FACTS = 4  # numbers that a machine can tell in a round besides its word
EXACT = 2**24  # numbers below are exact in float32, which the kvstore sums

logger = logging.getLogger(__name__)


class Word(IntEnum):
    """How a machine stands; from FAILED on it leaves."""

    GO = 0
    STOP = 1  # was asked to end after this step
    FAILED = 2
    DIVERGED = 3


class OtherMachineError(CutShortError):
    """Another machine failed.  diverged: its network is no longer made of numbers.  what: who
    failed and why, where that is known."""

    def __init__(self, machine: int, diverged: bool, what: str = ""):
        what = what or (
            f"machine {machine} of this job {'diverged' if diverged else 'failed'}, and its own "
            "messages say why"
        )
        super().__init__(f"{what}; this one ends too. Start all again with --resume")
        self.diverged = diverged


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


def job_processes() -> str:
    """Return in words which processes make the job that the environment describes."""
    env = os.environ
    return (
        f"the scheduler at {env['DMLC_PS_ROOT_URI']}:{env['DMLC_PS_ROOT_PORT']}, "
        f"{env['DMLC_NUM_SERVER']} server(s) and {env['DMLC_NUM_WORKER']} worker(s)"
    )


class Machines:
    """This machine alone; and what a job of several has too.

    rank: which of them this is; 0 validates, saves and logs.  kvstore: sums gradients over
    machines and their devices, None for one machine alone.  in_order: no round is half made.
    local_rank: which of the processes that torchrun started on this computer, None without it.
    validates_together: whether gather() reaches all.
    """

    rank, count = 0, 1
    local_rank: int | None = None
    validates_together = False
    in_order = True
    kvstore: mx.kvstore.KVStore | None = None

    def tell(self, word: Word, facts: Sequence[int] = ()) -> tuple[list[Word], np.ndarray]:
        """Make a round: return the word of every machine, and the facts of each, int64 (M, FACTS).

        facts: at most FACTS numbers 0 <= n < EXACT.  Raises OtherMachineError if another one
        leaves and this one was to stay.
        """
        return [word], padded(facts)[None]

    def exchange(self, text: str) -> list[str]:
        """Return the texts of all machines, in the order of their ranks."""
        return [text]

    def gather(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return the rows (n, ...) of all machines, each of its own number, by rank."""
        return [rows]

    def fail(self, error: BaseException) -> None:
        """Tell the others that this one leaves."""

    def close(self) -> None:
        """Leave the job."""


def padded(facts: Sequence[int]) -> np.ndarray:
    assert len(facts) <= FACTS and all(0 <= fact < EXACT for fact in facts), facts
    return np.array([*facts, *[0] * (FACTS - len(facts))], np.int64)


class Job(Machines):
    """The machines of a distributed job.  Waits until all its processes have come."""

    def __init__(self, kind: str):
        self._watch = Watch(every=beat())
        with self._watch.within(JOINING, f"--kvstore {kind}: waiting until {job_processes()} came"):
            self.kvstore = mx.kvstore.create(kind)
            self.rank, self.count = self.kvstore.rank, self.kvstore.num_workers
            self.kvstore.init(ROUNDS, mx.nd.zeros((self.count, 1 + FACTS)))
        self._watch.ask(find_silent_scheduler(self.kvstore))

    def tell(self, word: Word, facts: Sequence[int] = ()) -> tuple[list[Word], np.ndarray]:
        table = np.zeros((self.count, 1 + FACTS), np.float32)
        table[self.rank] = [word, *padded(facts)]
        self.in_order = False
        with self._watch.within(TOGETHER, "waiting until every machine came to this step"):
            total = mx.nd.array(table)
            self.kvstore.push(ROUNDS, total)
            self.kvstore.pull(ROUNDS, out=total)
            found = total.asnumpy().astype(np.int64)
        self.in_order = True
        words = [Word(value) for value in found[:, 0]]
        if word < Word.FAILED <= max(words):
            machine = words.index(max(words))
            raise OtherMachineError(machine, words[machine] is Word.DIVERGED)
        return words, found[:, 1:]

    def fail(self, error: BaseException) -> None:
        if self.in_order:
            self.tell(Word.DIVERGED if isinstance(error, DivergedError) else Word.FAILED)

    def close(self) -> None:
        """Leave together with the others; alone, and soon missed by them, where a round failed."""
        from mxnet.base import _LIB, KVStoreHandle, check_call

        self._watch.ask()
        if not self.in_order:
            check_call(_LIB.MXKVStoreSetBarrierBeforeExit(self.kvstore.handle, ctypes.c_int(0)))
        with self._watch.within(LEAVING, "waiting until every machine left the job"):
            # Freeing it is leaving; a traceback may hold the object itself.
            handle, self.kvstore.handle = self.kvstore.handle, KVStoreHandle()
            check_call(_LIB.MXKVStoreFree(handle))
        self._watch.stop()


@contextmanager
def joined(config: TrainConfig, ctx: Sequence[Any] | None = None) -> Iterator[Machines]:
    """Yield the machines of a job, or this one alone; all leave together when the block ends, and
    none stays when it fails on one of them.

    ctx: MXNet's contexts.  Raises ValueError if the environment is not that of the job that the
    options ask for.
    """
    count_machines(config.kvstore)
    machines = _machines(config, ctx)
    try:
        yield machines
        machines.tell(Word.GO)  # wait for the one that saves
    except OtherMachineError:
        raise  # all know
    except BaseException as error:
        machines.fail(error)
        raise
    finally:
        machines.close()


def _machines(config: TrainConfig, ctx: Sequence[Any] | None) -> Machines:
    place = torchrun.place()
    if config.kvstore.startswith("dist"):
        return Job(config.kvstore)
    if place and place.count > 1:
        if chosen_engine(config, ctx)[0] != "torch":
            raise ValueError(
                f"torchrun started {place.count} processes, and MXNet trains in one: give --engine "
                "torch, or start several machines as docs/distributed.md shows"
            )
        from .world import World

        return World(place)
    machines = Machines()
    if place:
        machines.local_rank = place.local_rank
    return machines

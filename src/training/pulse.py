"""Signs of life of the processes of a job, through the store that its launcher keeps.

Every process counts up a number of its own there once a second and looks at those of the others.
One that was killed or stopped, or whose machine is gone, counts no more; one that failed says so.
Silence is counted in the beats of the one that looks, not in seconds: a computer that slept, or a
job that was stopped as a whole, finds nobody missing when it goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import threading
from typing import Any, NamedTuple

BEAT = 1.0  # seconds
SILENT = 12  # beats without a sign, after which a process is taken for lost
BROKEN = 4  # beats, where a connection to somebody has broken already
PARTING = 5.0  # seconds
REASON = 2000  # characters of a message that are told

FAILURES = "failures"  # how many have failed


class Lost(NamedTuple):
    """Who is gone, and why.  rank: -1 for the store.  diverged: its network is not finite."""

    rank: int
    reason: str
    diverged: bool = False


class Pulse:
    """Beats for this process, and listens for the others.

    store: a connection of its own, as torch.distributed's stores have it.  lost: the first that was
    found missing, None while all live.
    """

    def __init__(self, store: Any, rank: int, count: int, *, beat: float = BEAT):
        self.lost: Lost | None = None
        self.contacts = 0  # times that the store answered
        self._store, self._rank, self._beat = store, rank, beat
        self._others = [other for other in range(count) if other != rank]
        self._heard = dict.fromkeys(self._others, 0)
        self._missed = dict.fromkeys(self._others, 0)
        self._listening = frozenset[int]()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def listen(self, ranks: Sequence[int]) -> None:
        """Miss these from now on, who have come."""
        self._listening = frozenset(ranks) - {self._rank}

    def silent(self, beats: int) -> int | None:
        """Return who gave no sign for so many beats, the longest silent first, or None."""
        missed = [(count, rank) for rank, count in self._missed.items() if count >= beats]
        return max(missed)[1] if missed else None

    def stop(self) -> None:
        """Beat no more.  A store that does not answer is waited for a while: an interpreter that
        ends under a thread in its C++ aborts."""
        self._stopped.set()
        self._thread.join(PARTING)

    def _run(self) -> None:
        while not self._stopped.wait(self._beat):
            try:
                self.beat()
            except Exception as error:  # whatever a store raises, it is gone
                if not self._stopped.is_set():
                    words = (str(error).strip().splitlines() or [type(error).__name__])[0]
                    self.lost = self.lost or Lost(-1, f"the store does not answer: {words}")
                return

    def beat(self) -> None:
        """Give a sign of life, and look for those of the others.  Raises what the store raises."""
        self._store.add(beat_key(self._rank), 1)
        for rank in self._others:
            heard = self._store.add(beat_key(rank), 0)
            is_new = heard != self._heard[rank] or rank not in self._listening
            self._heard[rank] = heard
            self._missed[rank] = 0 if is_new else self._missed[rank] + 1
        if self._store.add(FAILURES, 0) and self.lost is None:
            self.lost = next(filter(None, map(self._failure, self._others)), None)
        self.contacts += 1
        if self.lost is None and (rank := self.silent(SILENT)) is not None:
            self.lost = Lost(
                rank,
                f"has given no sign of life for {SILENT * self._beat:g} s: it was stopped or "
                "killed, or its machine or network is gone",
            )

    def _failure(self, rank: int) -> Lost | None:
        if not self._store.check([failed_key(rank)]):
            return None
        told = json.loads(self._store.get(failed_key(rank)))
        return Lost(rank, str(told["reason"])[:REASON], bool(told["diverged"]))


def tell_failure(store: Any, rank: int, reason: str, *, diverged: bool) -> None:
    """Let all others know that this process ends, and why."""
    told = {"reason": reason[:REASON], "diverged": diverged}
    store.set(failed_key(rank), json.dumps(told))
    store.add(FAILURES, 1)


def beat_key(rank: int) -> str:
    return f"beat/{rank}"


def failed_key(rank: int) -> str:
    return f"failed/{rank}"

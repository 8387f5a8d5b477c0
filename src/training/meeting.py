"""How the processes of one start of a job find each other in a store that has seen earlier starts.

torchrun keeps one store for all restarts, and every machine counts these for itself: one whose
workers it restarts because those of another machine failed does not count that.  So rank 0 gives
each start a name, drawn at random, and tells it to those who ask now.
"""

from __future__ import annotations

from collections.abc import Iterator
import secrets
import time
from typing import Any

from .torchrun import stopped_sibling

JOINING = 300.0  # seconds, until all processes must have come
STOPPED = 5.0  # seconds, after which a process that was stopped is not waited for
TURN = 0.5  # seconds, the longest pause


def turns() -> Iterator[None]:
    """Yield again and again, with longer and longer pauses, until somebody is there.

    Raises ValueError if a process of this machine was stopped.  Ends after JOINING.
    """
    until, pause, stopped = time.monotonic() + JOINING, 0.02, 0.0
    while time.monotonic() < until:
        yield
        sibling = stopped_sibling()
        stopped = stopped + pause if sibling else 0.0
        if stopped > STOPPED:
            raise ValueError(
                f"the process with pid {sibling} of this job, on this machine, was stopped "
                "before it had joined; start all again with --resume"
            )
        time.sleep(pause)
        pause = min(TURN, 1.5 * pause)


def meet(store: Any, rank: int, count: int) -> str:
    """Return the name of this start, the same on all processes and on no others.

    store: what torchrun keeps.  Raises ValueError if not all have come.
    """
    own = secrets.token_hex(8)
    if rank:
        store.set(f"asks/{rank}", own)
        for _ in turns():
            if store.check([f"name/{own}"]):
                name = store.get(f"name/{own}").decode()
                store.set(f"here/{name}/{rank}", "")
                return name
        raise missed([0])
    missing, told = set(range(1, count)), set[str]()
    for _ in turns():
        missing = {other for other in missing if not store.check([f"here/{own}/{other}"])}
        if not missing:
            return own
        for key in [f"asks/{other}" for other in missing if store.check([f"asks/{other}"])]:
            # Perhaps of one that is no more; who takes its place asks anew.
            asking = store.get(key).decode()
            if asking not in told:
                store.set(f"name/{asking}", own)
                told.add(asking)
    raise missed(sorted(missing))


def missed(ranks: list[int]) -> ValueError:
    who = ", ".join(f"process {rank}" for rank in ranks)
    return ValueError(
        f"{who} did not come within {JOINING:g} s; its own messages say why, if it was started"
    )

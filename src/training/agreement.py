"""Before the first step all machines make sure that they are about to make the same run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
import json
from pathlib import Path
import secrets
import time

from .. import __version__
from ..checkpoints.names import params_path, split_checkpoint
from ..config import flag_of
from ..files import naming
from .machines import EXACT, Machines, Word
from .plan import Plan
from .resume import FREE_TO_CHANGE, as_record
from .validation import find_targets

SHARE = "the folder is not shared; put it on a disk that all machines see under this name"
SEEN_WITHIN = 30.0  # seconds until a file of one machine must be seen by all
LONGEST = 200  # characters of a value that is shown
VERIFIED = frozenset({"verbose", "target"})
# Free to change from run to run, but for all alike: where it ends, and with what it began.
ENDS = frozenset({"max_steps", "end_epoch"})
BEGINS = frozenset({"pretrained", "new_head", "train_symbol"})


def agree(machines: Machines, plan: Plan, step: int) -> None:
    """Raise ValueError if the machines differ in data, options, versions or the step to go on
    from, or if they do not share the folder of --prefix."""
    if machines.count == 1:
        return
    refuse_differing(machines.exchange(json.dumps(said(plan))))
    with mark(machines, plan.config.prefix) as number:
        facts = [
            number,
            digest([*plan.fingerprints, plan.teacher_fingerprint]),
            options_digest(plan),
            step % EXACT,
        ]
        _, told = machines.tell(Word.GO, facts)
        marks, data, options, steps = told.T.tolist()
        for rank in range(machines.count):
            if steps[rank] != steps[0]:
                raise ValueError(
                    f"--prefix {plan.config.prefix}: machine {rank} finds a run there at step "
                    f"{steps[rank]}, machine 0 one at step {steps[0]}; {SHARE}"
                )
            if data[rank] != data[0]:
                raise ValueError(
                    f"--data-dir {plan.config.data_dir}: machine {rank} reads another dataset than "
                    "machine 0, or vectors of another --teacher (train.idx, property or the size "
                    "of train.rec differ, or the vectors); give all machines the same files"
                )
            if options[rank] != options[0]:
                raise ValueError(
                    f"machine {rank} was started with other options than machine 0, or has another "
                    "number of devices or another version of arcface_mxnet or MXNet; start all "
                    "machines with the same command"
                )
        refuse_unshared(machines, plan.config.prefix, marks[0])
        machines.tell(Word.GO)


def said(plan: Plan) -> dict[str, str]:
    """Return what must be the same everywhere, by names that a user knows, where machines can tell
    more than numbers."""
    config = plan.config
    options = {
        flag_of(name): json.dumps(value)
        for name, value in as_record(config).items()
        if name not in FREE_TO_CHANGE - ENDS - BEGINS - VERIFIED
    }
    pair_sets = find_targets(config.data_dir.split(","), config.target)
    more = {
        "data (train.idx, property and the size of train.rec)": plan.fingerprints,
        "bytes of --pretrained": _bytes_of(config.pretrained),
        "pair sets and their images": {n: len(one.images) for n, one in pair_sets.items()},
        "versions": plan.engine.versions() | {"arcface_mxnet": __version__},
        "kind of device": str(plan.ctx[0]).partition(":")[0],
    }
    return options | {name: json.dumps(value, sort_keys=True) for name, value in more.items()}


def _bytes_of(checkpoint: str) -> int | None:
    """Return how large the parameters of "prefix,number" are, None if there are none here."""
    path = params_path(*split_checkpoint(checkpoint)) if checkpoint else None
    return path.stat().st_size if path and path.is_file() else None


def refuse_differing(texts: list[str]) -> None:
    """Raise ValueError unless what the machines said() is the same, naming what is not."""
    told = [json.loads(text) for text in texts]
    faults = [
        f"  {name}: {_cut(one.get(name))} on process {rank}, {_cut(told[0].get(name))} on process 0"
        for rank, one in enumerate(told)
        for name in {**told[0], **one}
        if one.get(name) != told[0].get(name)
    ]
    if faults:
        raise ValueError(
            "the processes of this job are not about to make the same run; start all with the same "
            "command, files and versions:\n" + "\n".join(faults)
        )


def _cut(text: str | None) -> str:
    return text if text and len(text) <= LONGEST else f"{str(text)[:LONGEST]}.."


@contextmanager
def mark(machines: Machines, prefix: str) -> Iterator[int]:
    """Yield the number of a file that machine 0 has put beside the checkpoints for the time of the
    block; 0 on the others."""
    if machines.rank:
        yield 0
        return
    number = 1 + secrets.randbelow(EXACT - 1)
    path = mark_path(prefix, number)
    with naming(path):
        path.write_text("seen by all machines of a job, this can go\n")
    try:
        yield number
    finally:
        path.unlink(missing_ok=True)


def mark_path(prefix: str, number: int) -> Path:
    """Return the path of machine 0's file.  No machine asked for its name before, so that a
    network file system cannot remember that it is absent."""
    return Path(f"{prefix}-job-{number:08d}")


def refuse_unshared(machines: Machines, prefix: str, number: int) -> None:
    """Raise ValueError if machine 0's file does not show here."""
    path, until = mark_path(prefix, number), time.monotonic() + SEEN_WITHIN
    while not path.is_file():
        if time.monotonic() > until:
            raise ValueError(
                f"--prefix {prefix}: machine {machines.rank} does not see {path.name}, which "
                f"machine 0 wrote there {SEEN_WITHIN:g} s ago; {SHARE}"
            )
        time.sleep(0.1)


def digest(value: object) -> int:
    """Return a number below EXACT that changes with a JSON-able value."""
    text = json.dumps(value, sort_keys=True).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:3], "little")


def options_digest(plan: Plan) -> int:
    """Return a number that changes with all that must be the same on every machine."""
    fixed = {
        name: value
        for name, value in as_record(plan.config).items()
        if name not in FREE_TO_CHANGE - ENDS - BEGINS
    }
    return digest([fixed, len(plan.ctx), __version__, plan.engine.versions()])

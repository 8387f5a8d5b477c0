"""Lose workers of a job at random moments: how long until all are gone, and what is left.

    python -m benchmarks.distributed 20            20 moments, in about half an hour
    python -m benchmarks.distributed 4 --seed 1    a few

A job of 2 or 3 processes trains a tiny network on the CPU under torchrun --max-restarts 1.  One is
killed (SIGKILL) or stopped (SIGSTOP) at a random moment, some before they have joined.  Then all
processes of that attempt must be gone within 60 s, the last state must be whole, and torchrun's
restart must go on from it.
"""

from __future__ import annotations

import argparse
from collections import Counter
import contextlib
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile
import time

from arcface_mxnet.checkpoints.last_state import has_last, read_last
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.networks import NETWORKS
from arcface_mxnet.training.plan_only import write_plan

from tests.training.conftest import enter_tiny, write_dataset

LIMIT = 60.0  # seconds in which all must be gone
PATIENCE = 240.0  # seconds in which a job must come to its first steps, or go on
WINDOW = 10.0  # seconds, at any moment of which a worker is lost
EARLY = 4  # one of so many is lost in the first seconds of its life, the others while they train
KINDS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}


def build_parser() -> argparse.ArgumentParser:
    head, _, usage = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, metavar="N", help="how many moments")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims (0)")
    return parser


class Job:
    """Processes of torchrun.  workers(): their numbers, now."""

    def __init__(self, count: int, flags: list[str], log: Path):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self._log = log.open("w")
        self.launcher = subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--rdzv-backend", "loopback",
                "--nproc-per-node", str(count), "--max-restarts", "1",
                "-m", "arcface_mxnet.train_softmax", *flags,
            ],
            env=environment, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def workers(self) -> dict[int, int]:
        """Return the number of each process by its rank."""
        path = Path(f"/proc/{self.launcher.pid}/task/{self.launcher.pid}/children")
        found = {}
        for text in path.read_text().split() if path.exists() else []:
            with contextlib.suppress(OSError):
                pairs = Path(f"/proc/{text}/environ").read_bytes().split(b"\0")
                ranks = [pair[5:] for pair in pairs if pair.startswith(b"RANK=")]
                found |= {int(rank): int(text) for rank in ranks}
        return found

    def end(self) -> None:
        """Stop the job as a user does, and leave nobody."""
        workers = self.workers()
        self.launcher.terminate()
        try:
            self.launcher.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
        for number in workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._log.close()


def is_there(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds: float) -> float:
    """Return after how many seconds it held.  Raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + seconds:
            raise TimeoutError
        time.sleep(0.1)
    return time.monotonic() - began


def step_of(prefix: str) -> int:
    """Return the step of the last state, which must be whole, 0 if there is none yet."""
    return read_last(prefix).record["position"]["step"] if has_last(prefix) else 0


def lose_one(
    kind: str, count: int, is_early: bool, rng: random.Random, flags: list[str], folder: Path
) -> str:
    """Return what happened, a line that begins with "ok" if all was as it must be."""
    prefix = str(folder / "run" / "model")
    log = folder / "log"
    job = Job(count, [*flags, f"--prefix={prefix}"], log)
    victim, after = rng.randrange(count), rng.uniform(0, WINDOW)
    try:
        wait_until(lambda: len(job.workers()) == count, PATIENCE)
        workers = job.workers()
        if not is_early:
            wait_until(lambda: has_last(prefix), PATIENCE)
        time.sleep(after)
        at = step_of(prefix)
        os.kill(workers[victim], KINDS[kind])
        try:
            gone = wait_until(lambda: not any(map(is_there, workers.values())), LIMIT)
        except TimeoutError:
            left = sorted(rank for rank, one in workers.items() if is_there(one))
            return f"FAULT: {kind} {victim} of {count} after {after:.1f} s: {left} still there"
        kept = step_of(prefix)
        try:
            wait_until(lambda: step_of(prefix) > kept + 20, PATIENCE)
        except TimeoutError:
            return f"FAULT: the restart did not go on from step {kept}; see {log}"
        named = (
            f"process {victim} (" in log.read_text() or "before it had joined" in log.read_text()
        )
        words = "" if named else ", not named"
        return f"ok: {kind} {victim} of {count} after {after:.1f} s, step {at}: {gone:.1f} s{words}"
    finally:
        job.end()


def main() -> int:
    args = build_parser().parse_args()
    rng, results = random.Random(args.seed), Counter()
    enter_tiny(NETWORKS._entries.__setitem__)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write_dataset(folder / "tiny")
        options = {
            "data_dir": str(folder / "tiny"), "network": "tiny", "emb_size": 8,
            "per_batch_size": 4, "target": ("held",), "margin_s": 8.0, "margin_m": 0.1,
        }  # fmt: skip
        write_plan(TrainConfig(**options, prefix=str(folder / "plan"), engine="torch"))
        given = {name: one[0] if isinstance(one, tuple) else one for name, one in options.items()}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        flags += ["--engine=torch", f"--train-symbol={folder / 'plan-train-symbol.json'}"]
        flags += ["--verbose=20", "--frequent=20", "--ckpt=0", "--lr=0.001", "--resume"]
        for number in range(args.count):
            kind, count = list(KINDS)[number % 2], 2 + number // 2 % 2
            place = folder / str(number)
            place.mkdir()
            is_early = number % EARLY == EARLY - 1 - args.seed % 2
            result = lose_one(kind, count, is_early, rng, flags, place)
            results[result.partition(":")[0]] += 1
            print(result, flush=True)
            if result.startswith("FAULT"):
                print((place / "log").read_text()[-3000:], flush=True)
    print(f"{results['ok']} of {args.count} as they must be")
    return 0 if results["ok"] == args.count else 1


if __name__ == "__main__":
    sys.exit(main())

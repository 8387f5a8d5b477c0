"""Kill the service while people are enrolled, deleted and backed up, and hold it to its word.

    python -m tests.serve.killing 300      kills, half of them by SIGTERM; about ten minutes

What was told as done (201, 204) must be so after the next start, what was denied must not, what
was not answered is asked again under its Idempotency-Key and must be there once, and every backup
must be whole.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from arcface_mxnet.serve import keeping
import httpx

from tests.serve.tiny import encoded, person

ROOT = Path(__file__).parents[2]
SECONDS = 0.15  # that a request has: some are denied just as they could be stored
PATIENCE = 20.0  # seconds for the first that is stored
PHOTOS = [encoded(person(number)) for number in range(4)]


class Ledger:
    """What was told of each name: "stored", "denied", "gone" or "unknown"."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.requests = Counter()
        self.lock = threading.Lock()

    def note(self, name: str, what: str) -> None:
        with self.lock:
            self.told[name] = what
            self.requests[what] += 1

    def wait_for(self, what: str, count: int) -> None:
        """Wait until so many were told that, or for PATIENCE."""
        end = time.monotonic() + PATIENCE
        while self.requests[what] < count and time.monotonic() < end:
            time.sleep(0.02)


def start(store: Path, seconds: float = SECONDS) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serve.tiny", str(store), str(seconds)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process, process.stdout.readline().strip()


def enrol(client: httpx.Client, name: str) -> int:
    """Return the status of an enrolment that may be asked for again."""
    photo = {"image": PHOTOS[hash(name) % len(PHOTOS)]}
    return client.post(
        "v1/enroll", data={"name": name}, files=photo, headers={"Idempotency-Key": name}
    ).status_code


def enrolling(url: str, names: list[str], ledger: Ledger, stop: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=20) as client:
        for name in names:
            if stop.is_set():
                return
            ledger.told[name] = "unknown"
            try:
                status = enrol(client, name)
            except httpx.TransportError:
                ledger.requests["unknown"] += 1
                return
            ledger.note(name, "stored" if status == 201 else "denied")


def deleting(url: str, names: list[str], ledger: Ledger, stop: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=20) as client:
        for name in names:
            if stop.is_set():
                return
            ledger.told[name] = "unknown"
            try:
                status = client.delete(f"v1/people/{name}").status_code
            except httpx.TransportError:
                ledger.told[name] = "may be gone"
                return
            ledger.note(name, "gone" if status == 204 else "stored")


def backing_up(store: Path, faults: list[str], stop: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        target = store.with_name(f"backup{number % 2}")
        try:
            keeping.backup(store, target)
            keeping.verify(target)
        except (OSError, ValueError) as error:
            faults.append(f"backup: {error}")


def one_round(store: Path, number: int, ledger: Ledger, rng: random.Random) -> list[str]:
    """Kill the service once; return what it broke of its word."""
    faults: list[str] = []
    process, url = start(store)
    stop = threading.Event()
    stored = [name for name, what in ledger.told.items() if what == "stored"]
    new = [[f"round {number} of {worker} person {i}" for i in range(200)] for worker in "ab"]
    threads = [threading.Thread(target=enrolling, args=(url, one, ledger, stop)) for one in new]
    threads.append(threading.Thread(target=deleting, args=(url, stored[::3], ledger, stop)))
    threads.append(threading.Thread(target=backing_up, args=(store, faults, stop)))
    told = ledger.requests["stored"]
    for thread in threads:
        thread.start()
    if number % 4 < 2:  # others are killed as soon as they run, however slow the machine is
        ledger.wait_for("stored", told + 1)
    time.sleep(rng.uniform(0.02, 0.6))
    process.send_signal(signal.SIGTERM if number % 2 else signal.SIGKILL)
    code = process.wait()
    stop.set()
    for thread in threads:
        thread.join()
    if number % 2 and code != 0:
        faults.append(f"SIGTERM: exit code {code}")
    process, url = start(store, seconds=30)
    with httpx.Client(base_url=url, timeout=30) as client:
        held = {one["name"]: one["photos"] for one in client.get("v1/people").json()}
        for name, what in list(ledger.told.items()):
            if what == "stored" and name not in held:
                faults.append(f"told and lost: {name}")
            if what in ("denied", "gone") and name in held:
                faults.append(f"{what} and stored: {name}")
            if what == "may be gone":
                ledger.told[name] = "stored" if name in held else "gone"
            if what == "unknown":
                status = enrol(client, name)
                if status != 201:
                    faults.append(f"cannot be asked again, {status}: {name}")
                ledger.told[name] = "stored"
        again = {one["name"]: one["photos"] for one in client.get("v1/people").json()}
        faults += [f"enrolled twice: {name}" for name, photos in again.items() if photos != 1]
    process.send_signal(signal.SIGTERM)
    process.wait()
    return faults


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, metavar="N", help="kills")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    ledger, rng, faults = Ledger(), random.Random(args.seed), []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "people.sqlite"
        for number in range(args.count):
            faults += one_round(store, number, ledger, rng)
    for fault in faults:
        print(fault)
    told = ", ".join(f"{count} {what}" for what, count in sorted(ledger.requests.items()))
    print(f"{args.count} kills: {told}; {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""The face service under load, abuse and sudden death.

    python -m benchmarks.service

Starts deploy/serve.py with the pretrained m1 and the MTCNN detector on a free port of this
machine and asks it from this process, on the same cores.  Needs models/ and datasets/orl (or
other photos): python -m arcface_mxnet.fetch.sources fetch
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
import subprocess
import sys
import tempfile
import time

import cv2
import httpx
import numpy as np

ROOT = Path(__file__).parents[1]
NEEDED = ("models/sface-m1-0000.params", "models/mtcnn/det1-symbol.json", "datasets/orl")
SECONDS = 10.0  # of each load
CLIENTS = 8
WAITING = 16
HOSTILE = 500


class Service:
    """deploy/serve.py in a process of its own, until the block ends."""

    def __init__(self, store: Path):
        arguments = ["--port", "0", "--store", str(store), "--max-waiting", str(WAITING)]
        self._process = subprocess.Popen(
            [sys.executable, "deploy/serve.py", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("deploy/serve.py did not start")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


def photos() -> list[bytes]:
    """Return 20 faces of ORL on a wider ground, 250x250 JPEG, as a photo has them."""
    made = []
    for path in sorted((ROOT / "datasets/orl").glob("s*/1.pgm"))[:20]:
        face = cv2.imread(str(path))  # 112 high, 92 wide
        photo = cv2.copyMakeBorder(face, 69, 69, 79, 79, cv2.BORDER_REPLICATE)
        made.append(cv2.imencode(".jpg", photo)[1].tobytes())
    return made


async def ask(client: httpx.AsyncClient, photo: bytes, answers: list[tuple[int, float]]) -> None:
    start = time.perf_counter()
    response = await client.post("/embed", files={"image": photo})
    if response.status_code == 503 and response.headers["retry-after"] != "1":
        raise RuntimeError("503 without Retry-After")
    answers.append((response.status_code, time.perf_counter() - start))


async def closed_loop(client: httpx.AsyncClient, sent: list[bytes], clients: int) -> list:
    """Ask with a fixed number of clients, each waiting for its answer."""
    answers: list[tuple[int, float]] = []
    end = time.perf_counter() + SECONDS

    async def one(number: int) -> None:
        while time.perf_counter() < end:
            await ask(client, sent[(number + len(answers)) % len(sent)], answers)

    await asyncio.gather(*(one(number) for number in range(clients)))
    return answers


async def open_loop(client: httpx.AsyncClient, sent: list[bytes], rate: float) -> list:
    """Ask at a fixed rate, whether answers come or not."""
    answers: list[tuple[int, float]] = []
    start, tasks = time.perf_counter(), []
    for number in range(int(rate * SECONDS)):
        await asyncio.sleep(max(0, start + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(client, sent[number % len(sent)], answers)))
    await asyncio.gather(*tasks)
    return answers


def line(name: str, asked: int, answers: list[tuple[int, float]], seconds: float) -> None:
    done = [1000 * took for status, took in answers if status == 200]
    busy = sum(status == 503 for status, _ in answers)
    p50, p99 = np.percentile(done, [50, 99])
    print(
        f"{name:28} {len(done) / seconds:8.1f} {p50:8.0f} {p99:8.0f} {len(done):6} {busy:6} "
        f"{asked - len(done) - busy:6}"
    )


def hostile_bodies() -> list[bytes]:
    """Return random bytes, cut photos, wrong formats and a PNG of 50 megapixels, 500 in all."""
    rng = np.random.default_rng(0)
    photo = cv2.imencode(".jpg", rng.integers(0, 256, (250, 250, 3), dtype=np.uint8))[1].tobytes()
    huge = cv2.imencode(".png", np.zeros((5000, 10000), np.uint8))[1].tobytes()
    kinds = [
        lambda: rng.bytes(int(rng.integers(0, 20000))),
        lambda: photo[: int(rng.integers(1, len(photo) - 2000))],
        lambda: b"GIF89a" + rng.bytes(3000),
        lambda: b"<svg>" + b"<g>" * 20000,
        lambda: b"PK\x03\x04" + rng.bytes(3000),
    ]
    bodies = [kinds[number % len(kinds)]() for number in range(HOSTILE - 1)]
    return [*bodies, huge]


async def abuse(client: httpx.AsyncClient) -> Counter:
    statuses: Counter = Counter()
    for body in hostile_bodies():
        response = await client.post("/embed", files={"image": body})
        statuses[response.status_code] += 1
    return statuses


async def enrol_until_killed(client: httpx.AsyncClient, service: Service, sent: list) -> set[str]:
    """Return the names whose enrolment was answered before the service was killed."""
    enrolled: set[str] = set()
    asyncio.get_running_loop().call_later(3, service.kill)

    async def enrol(number: int) -> None:
        name = f"person {number}"
        files = {"image": sent[number % len(sent)]}
        response = await client.post("/enroll", data={"name": name}, files=files)
        if response.status_code == 201:
            enrolled.add(name)

    number = 0
    try:
        while True:
            await asyncio.gather(*(enrol(number + i) for i in range(4)))
            number += 4
    except httpx.TransportError:
        return enrolled


async def measure(store: Path) -> None:
    sent = photos()
    print("250x250 photo -> face -> crop -> embedding, /embed")
    print(f"{'load':28} {'per s':>8} {'p50 ms':>8} {'p99 ms':>8} {'200':>6} {'503':>6} {'lost':>6}")
    with Service(store) as service:
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(base_url=service.url, timeout=60, limits=limits) as client:
            for photo in sent[:5]:
                await ask(client, photo, [])
            alone = await closed_loop(client, sent, 1)
            line("one client", len(alone), alone, SECONDS)
            full = await closed_loop(client, sent, CLIENTS)
            line(f"{CLIENTS} clients", len(full), full, SECONDS)
            rate = 2 * len(full) / SECONDS
            over = await open_loop(client, sent, rate)
            line(f"twice that, {WAITING} may wait", int(rate * SECONDS), over, SECONDS)
            print(f"{HOSTILE} hostile bodies: status {dict(await abuse(client))}")
            enrolled = await enrol_until_killed(client, service, sent)
    with Service(store) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            there = {person["name"] for person in (await client.get("/people")).json()}
    print(f"killed -9 while enrolling: {len(enrolled)} answered, {len(enrolled - there)} lost")


def main() -> None:
    missing = [name for name in NEEDED if not (ROOT / name).exists()]
    if missing:
        print(f"left out: {', '.join(missing)} absent; fetch them with arcface-fetch fetch")
        return
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "people.sqlite"))


if __name__ == "__main__":
    main()

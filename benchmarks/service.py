"""The face service under load, beside the commit before it was made for months.

    python -m benchmarks.service                    loads, silent sockets, 2 minutes of new sizes
    python -m benchmarks.service --minutes 20       as long as the figure of the document
    python -m benchmarks.service --before ''        without the earlier commit (no git here)

Starts the service with the pretrained m1 on a free port of this machine and asks it from this
process, on the same cores; earlier and present code take turns.  Needs models/ and datasets/orl:
python -m arcface_mxnet.fetch.sources fetch
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import ExitStack
import io
import os
from pathlib import Path
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from urllib.request import urlopen

from arcface_mxnet.engines.session import fastest_dtype
import cv2
import httpx
import numpy as np

ROOT = Path(__file__).parents[1]
NEEDED = (
    "models/sface-m1-0000.params", "models/mtcnn/det1-symbol.json", "models/yunet.onnx",
    "datasets/orl",
)  # fmt: skip
BEFORE = "fffa736"
SECONDS = 10.0  # of each load
TURNS = 2
CLIENTS = 8
WAITING = 16
SILENT = 1100
START = "import sys; from arcface_mxnet.serve.command import main; sys.exit(main())"


class Service:
    """The service in a process of its own, until the block ends.  source: folder of the package."""

    def __init__(self, store: Path, *arguments: str, source: Path | None = None):
        arguments = "--port", "0", "--store", str(store), "--max-waiting", str(WAITING), *arguments
        path = {"PYTHONPATH": str(source)} if source else {}
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments], env={**os.environ, **path},
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        begin = time.perf_counter()
        self.url = self._process.stdout.readline().strip()
        self.start_seconds = time.perf_counter() - begin
        if not self.url:
            raise RuntimeError("the service did not start")

    def megabytes(self) -> float:
        """Return the memory that it has resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()


def earlier(commit: str, folder: Path) -> Path:
    """Return a folder that holds the package as it was at a commit."""
    done = subprocess.run(
        ["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        folder.mkdir()
        archive.extractall(folder, filter="data")
    (folder / "src").rename(folder / "arcface_mxnet")
    return folder


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
    try:
        status = (await client.post("/embed", files={"image": photo})).status_code
    except httpx.TransportError:
        status = 0
    answers.append((status, time.perf_counter() - start))


async def closed_loop(url: str, sent: list[bytes], clients: int, seconds: float) -> list:
    """Ask with a fixed number of clients, each waiting for its answer."""
    answers: list[tuple[int, float]] = []

    async def one(client: httpx.AsyncClient, number: int, end: float) -> None:
        while time.perf_counter() < end:
            await ask(client, sent[(number + len(answers)) % len(sent)], answers)

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for photo in sent[:5]:
            await ask(client, photo, [])
        end = time.perf_counter() + seconds
        await asyncio.gather(*(one(client, number, end) for number in range(clients)))
    return answers


async def open_loop(url: str, sent: list[bytes], rate: float) -> list:
    """Ask at a fixed rate, whether answers come or not."""
    answers: list[tuple[int, float]] = []
    start, tasks = time.perf_counter(), []
    limits = httpx.Limits(max_connections=500)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        for number in range(int(rate * SECONDS)):
            await asyncio.sleep(max(0, start + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(ask(client, sent[number % len(sent)], answers)))
        await asyncio.gather(*tasks)
    return answers


def line(name: str, answers: list[tuple[int, float]], seconds: float = SECONDS) -> float:
    """Print a row; return photos per second."""
    done = [1000 * took for status, took in answers if status == 200]
    busy = sum(status == 503 for status, _ in answers)
    p50, p99 = np.percentile(done, [50, 99])
    lost = len(answers) - len(done) - busy
    rate = len(done) / seconds
    print(
        f"{name:34} {rate:7.1f} {p50:7.0f} {p99:7.0f} {len(done):6} {busy:6} {lost:6}", flush=True
    )
    return rate


def compare(folder: Path, sent: list[bytes], before: str) -> None:
    """Print the rates of both codes in turns, and of bfloat16 where the processor has it."""
    kinds: dict[str, tuple[Path | None, tuple[str, ...]]] = {"now": (None, ())}
    if before:
        kinds = {f"before ({before})": (earlier(before, folder / "before"), ()), **kinds}
    if fastest_dtype(-1) == "bfloat16":
        kinds["now, --dtype bfloat16"] = None, ("--dtype", "bfloat16")
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(TURNS):
        for number, (name, (source, options)) in enumerate(kinds.items()):
            store = folder / f"{turn}-{number}.sqlite"
            with Service(store, *options, source=source) as service:
                answers = asyncio.run(closed_loop(service.url, sent, CLIENTS, SECONDS))
            rates[name].append(line(f"{CLIENTS} clients, {name}", answers))
    first = statistics.median(next(iter(rates.values())))
    for name, found in list(rates.items())[1:]:
        print(f"{name}: {statistics.median(found) / first:.2f} times {next(iter(rates))}")


def alone(folder: Path, sent: list[bytes]) -> None:
    """Print what one client, half the load and twice the load find, and /health among silence."""
    with Service(folder / "load.sqlite") as service:
        print(f"started in {service.start_seconds:.1f} s, {service.megabytes():.0f} MB")
        line("one client", asyncio.run(closed_loop(service.url, sent, 1, SECONDS)))
        full = line(
            f"{CLIENTS} clients", asyncio.run(closed_loop(service.url, sent, CLIENTS, SECONDS))
        )
        line("half of that", asyncio.run(open_loop(service.url, sent, full / 2)))
        over = asyncio.run(open_loop(service.url, sent, 2 * full))
        line(f"twice that, {WAITING} may wait", over)
        for kind, start in (
            ("silent", b""),
            ("slow head", b"GET /health HTTP/1.1\r\nHost:"),
            ("slow body", b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\na"),
        ):
            print(
                f"/health among {SILENT} {kind} sockets: {among(service.url, start):.3f} s at most"
            )


def among(url: str, start: bytes) -> float:
    """Return the longest of 20 answers of /health while many sockets send `start` and no more."""
    place, took = httpx.URL(url), []
    with ExitStack() as held:
        for number in range(SILENT):
            one = held.enter_context(socket.create_connection((place.host, place.port), 10))
            one.sendall(start)
            if number % (SILENT // 20) == SILENT // 20 - 1:
                begin = time.perf_counter()
                with urlopen(f"{url}health", timeout=60) as answer:
                    answer.read()
                took.append(time.perf_counter() - begin)
    return max(took)


async def new_sizes(service: Service, sent: list[bytes], minutes: float) -> list[tuple]:
    """Send photos of ever new sizes; return (minutes, megabytes) every few seconds."""
    rng, found, begin = np.random.default_rng(0), [], time.perf_counter()
    images = [cv2.imdecode(np.frombuffer(photo, np.uint8), 1) for photo in sent]
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        while (now := (time.perf_counter() - begin) / 60) < minutes:
            width, height = rng.integers(200, 1800, 2)
            image = cv2.resize(images[len(found) % len(images)], (int(width), int(height)))
            await ask(client, cv2.imencode(".jpg", image)[1].tobytes(), [])
            found.append((now, service.megabytes()))
    return found


def memory(folder: Path, sent: list[bytes], minutes: float) -> None:
    with Service(folder / "memory.sqlite") as service:
        found = asyncio.run(new_sizes(service, sent, minutes))
    first = 2 if minutes > 4 else minutes / 2
    times, sizes = np.array([row for row in found if row[0] >= first]).T
    slope = np.polyfit(times, sizes, 1)[0]
    print(
        f"{minutes:g} minutes of new sizes, {len(found)} photos: {sizes[0]:.0f} MB after minute "
        f"{first:g}, {sizes[-1]:.0f} MB at the end, slope {slope:.2f} MB per minute"
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="of new sizes (%(default)s)")
    parser.add_argument("--before", default=BEFORE, help="commit to compare with (%(default)s)")
    args = parser.parse_args([] if argv is None else argv)
    missing = [name for name in NEEDED if not (ROOT / name).exists()]
    if missing:
        print(f"left out: {', '.join(missing)} absent; fetch them with arcface-fetch fetch")
        return
    sent = photos()
    print("250x250 photo -> face -> crop -> embedding, /embed")
    print(f"{'load':34} {'per s':>7} {'p50 ms':>7} {'p99 ms':>7} {'200':>6} {'503':>6} {'lost':>6}")
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), sent, args.before)
        alone(Path(name), sent)
        memory(Path(name), sent, args.minutes)


if __name__ == "__main__":
    main(sys.argv[1:])

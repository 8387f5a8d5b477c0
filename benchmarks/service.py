"""The face service under load, beside the commit before it was made for months.

    python -m benchmarks.service                    loads, silent sockets, 2 minutes of new sizes
    python -m benchmarks.service --minutes 0        without those: two minutes in all
    python -m benchmarks.service --minutes 20       as long as the figure of the document
    python -m benchmarks.service --before ''        without the earlier commit (no git here)

Starts the service with the pretrained m1 on a free port of this machine and asks it from this
process, on the same cores; earlier and present code take turns.  The last two columns are the
milliseconds of a core that an answered photo took, of the service and of what asks: other work on
the machine changes them less than the rates.  Needs models/ and datasets/orl:
python -m arcface_mxnet.fetch.sources fetch
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
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
from urllib.parse import urlsplit
from urllib.request import urlopen

from arcface_mxnet.align.yunet import YunetDetector
from arcface_mxnet.cores import usable_cores
from arcface_mxnet.embedder import Embedder
from arcface_mxnet.embedding.face_model import FaceModel
from arcface_mxnet.engines.session import fastest_dtype
import cv2
import numpy as np

from benchmarks.asking import Client, upload

ROOT = Path(__file__).parents[1]
NEEDED = (
    "models/sface-m1-0000.params", "models/mtcnn/det1-symbol.json", "models/yunet.onnx",
    "datasets/orl",
)  # fmt: skip
BEFORE = "fffa736"
TURNS = 3
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
        self.port = urlsplit(self.url).port

    def megabytes(self) -> float:
        """Return the memory that it has resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """Return the seconds of a core that it has taken so far, all its threads together."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

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


async def closed_loop(service: Service, sent: list[bytes], clients: int, seconds: float) -> Load:
    """Ask with a fixed number of clients, each waiting for its answer."""
    client = Client(service.port)
    for request in sent[:5]:
        await client.ask(request)
    client.answers.clear()
    load = Load(service, client)
    end = time.perf_counter() + seconds

    async def one(number: int) -> None:
        while time.perf_counter() < end:
            await client.ask(sent[(number + len(client.answers)) % len(sent)])

    await asyncio.gather(*map(one, range(clients)))
    load.end()
    return load


async def open_loop(service: Service, sent: list[bytes], rate: float, seconds: float) -> Load:
    """Ask at a fixed rate, whether answers come or not."""
    client, tasks = Client(service.port), []
    load = Load(service, client)
    start = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0, start + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(client.ask(sent[number % len(sent)])))
    await asyncio.gather(*tasks)
    load.end()
    return load


class Load:
    """What a load found, from now until end(), and what it took of the cores."""

    def __init__(self, service: Service, client: Client):
        self._service, self._client = service, client
        self._start = time.perf_counter(), service.cpu_seconds(), time.process_time()

    def end(self) -> None:
        self._client.close()
        now = time.perf_counter(), self._service.cpu_seconds(), time.process_time()
        self._took = [end - start for start, end in zip(self._start, now, strict=True)]

    def line(self, name: str) -> float:
        """Print a row; return photos per second."""
        answers = self._client.answers
        done = [1000 * took for status, took in answers if status == 200]
        busy = sum(status == 503 for status, _ in answers)
        p50, p99 = np.percentile(done, [50, 99]) if done else (np.nan, np.nan)
        seconds, service, client = self._took
        rate, each = len(done) / seconds, 1000 / max(len(done), 1)
        print(
            f"{name:34} {rate:7.1f} {p50:7.0f} {p99:7.0f} {len(done):6} {busy:6} "
            f"{len(answers) - len(done) - busy:6} {service * each:8.1f} {client * each:7.2f}",
            flush=True,
        )
        return rate


def compare(folder: Path, sent: list[bytes], before: str, seconds: float) -> None:
    """Print the rates of both codes in turns, and of float32 where that is not the default."""
    kinds: dict[str, tuple[Path | None, tuple[str, ...]]] = {"now": (None, ())}
    if before:
        kinds = {f"before ({before})": (earlier(before, folder / "before"), ()), **kinds}
    if fastest_dtype(-1) == "bfloat16":
        kinds["now, --dtype float32"] = None, ("--dtype", "float32")
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(TURNS):
        for number, (name, (source, options)) in enumerate(kinds.items()):
            store = folder / f"{turn}-{number}.sqlite"
            with Service(store, *options, source=source) as service:
                load = asyncio.run(closed_loop(service, sent, CLIENTS, seconds))
            rates[name].append(load.line(f"{CLIENTS} clients, {name}"))
    first = rates[next(iter(rates))]
    for name, found in list(rates.items())[1:]:
        ratios = sorted(mine / other for mine, other in zip(found, first, strict=True))
        print(
            f"{name}: {statistics.median(ratios):.2f} times {next(iter(rates))} (median of "
            f"{TURNS} turns, {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def alone(folder: Path, sent: list[bytes], seconds: float) -> None:
    """Print what one client, half the load and twice the load find, and /health among silence."""
    with Service(folder / "load.sqlite") as service:
        print(f"started in {service.start_seconds:.1f} s, {service.megabytes():.0f} MB")
        asyncio.run(closed_loop(service, sent, 1, seconds)).line("one client")
        load = asyncio.run(closed_loop(service, sent, CLIENTS, seconds))
        full = load.line(f"{CLIENTS} clients")
        asyncio.run(open_loop(service, sent, full / 2, seconds)).line("half of that")
        over = asyncio.run(open_loop(service, sent, 2 * full, seconds))
        over.line(f"twice that, {WAITING} may wait")
        for kind, start in (
            ("silent", b""),
            ("slow head", b"GET /health HTTP/1.1\r\nHost:"),
            ("slow body", b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\na"),
        ):
            print(f"/health among {SILENT} {kind} sockets: {among(service, start):.3f} s at most")


def among(service: Service, start: bytes) -> float:
    """Return the longest of 20 answers of /health while many sockets send `start` and no more."""
    took = []
    with ExitStack() as held:
        for number in range(SILENT):
            one = held.enter_context(socket.create_connection(("127.0.0.1", service.port), 10))
            one.sendall(start)
            if number % (SILENT // 20) == SILENT // 20 - 1:
                begin = time.perf_counter()
                with urlopen(f"{service.url}health", timeout=60) as answer:
                    answer.read()
                took.append(time.perf_counter() - begin)
    return max(took)


def stages(found: list[bytes]) -> None:
    """Print what the parts of a photo take of one core, without a service: they bound its rate."""
    dtype, cores = fastest_dtype(-1), usable_cores()
    os.environ["OMP_NUM_THREADS"] = "1"  # threads that wait for each other take more
    embedder = Embedder(str(ROOT / "models/sface-m1,0"), -1, flip=False, dtype=dtype)
    model = FaceModel(YunetDetector(model_dir=ROOT / "models"), embedder)
    images = [cv2.imdecode(np.frombuffer(photo, np.uint8), 1) for photo in found]
    faces = [model.find(image) for image in images]
    crops = [model.crop(image, face) for image, face in zip(images, faces, strict=True)]
    took = {
        "decoding": core_ms(lambda n: cv2.imdecode(np.frombuffer(found[n], np.uint8), 1)),
        "YuNet": core_ms(lambda n: model.find_all(images[n])),
        "crop": core_ms(lambda n: model.crop(images[n], faces[n])),
        f"m1 in {dtype}": core_ms(lambda n: model.embed_crops(crops[n][None])),
    }
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in took.items())
    limit = 1000 * cores / sum(took.values())
    print(f"core ms without service: {parts}: {limit:.0f} per s on {cores} cores at most")


def core_ms(work: Callable[[int], object], times: int = 100, different: int = 20) -> float:
    """Return the milliseconds of a core that one call takes, all threads together."""
    for number in range(different):
        work(number)
    begin = time.process_time()
    for number in range(times):
        work(number % different)
    return 1000 * (time.process_time() - begin) / times


async def new_sizes(service: Service, photos: list[bytes], minutes: float) -> list[tuple]:
    """Send photos of ever new sizes; return (minutes, megabytes) after each."""
    rng, found, begin = np.random.default_rng(0), [], time.perf_counter()
    images = [cv2.imdecode(np.frombuffer(photo, np.uint8), 1) for photo in photos]
    client = Client(service.port)
    while (now := (time.perf_counter() - begin) / 60) < minutes:
        width, height = rng.integers(200, 1800, 2)
        image = cv2.resize(images[len(found) % len(images)], (int(width), int(height)))
        await client.ask(upload("/embed", cv2.imencode(".jpg", image)[1].tobytes()))
        found.append((now, service.megabytes()))
    client.close()
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
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load (%(default)s)")
    parser.add_argument("--before", default=BEFORE, help="commit to compare with (%(default)s)")
    args = parser.parse_args([] if argv is None else argv)
    missing = [name for name in NEEDED if not (ROOT / name).exists()]
    if missing:
        print(f"left out: {', '.join(missing)} absent; fetch them with arcface-fetch fetch")
        return
    found = photos()
    sent = [upload("/embed", photo) for photo in found]
    print("250x250 photo -> face -> crop -> embedding, /embed")
    print(
        f"{'load':34} {'per s':>7} {'p50 ms':>7} {'p99 ms':>7} {'200':>6} {'503':>6} {'lost':>6} "
        f"{'core ms':>8} {'client':>7}"
    )
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), sent, args.before, args.seconds)
        alone(Path(name), sent, args.seconds)
        if args.minutes:
            memory(Path(name), found, args.minutes)
    cv2.setNumThreads(1)  # as the service does
    stages(found)


if __name__ == "__main__":
    main(sys.argv[1:])

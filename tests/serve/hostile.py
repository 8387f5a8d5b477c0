"""What strangers send: bodies, raw bytes, names, tokens and paths; no 500, no traceback, JSON.

    python -m tests.serve.hostile              600 bodies, 100 raw requests, 50 names, 180 pairs
    python -m tests.serve.hostile --seed 7     others of them

They are sent to the real service, around a tiny network, in a process of its own; what it writes
to its standard error is a fault, too.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
import io
import json
from pathlib import Path
import socket
import subprocess
import sys
import tempfile
from urllib.parse import quote, urlsplit

import cv2
import httpx
import numpy as np
from PIL import Image

from tests.serve.tiny import encoded, person

# method, path, headers -> status, headers, body
Send = Callable[[str, str, dict[str, bytes]], tuple[int, dict[str, str], str]]
ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-some-length"
ROUTES = ("/v1/embed", "/compare", "/enroll", "/search")
TOKENS = [
    None, "", "Bearer", "Bearer ", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x",
    f"Bearer  x {TOKEN}", "bearer \u00e9", f"Bearer {TOKEN[:-1]}", "Bearer " + "x" * 5000, "\t",
]  # fmt: skip
PATHS = [
    "/people", "/v1/people/..%2f..", "/embed", "/v1/enroll", "//people", "/v1", "/%2e%2e/",
    "/metrics", "/openapi.json", "/people/%00", "/v1/photos?name=a", "/./people",
    "/v1/photos/1", "/PEOPLE", "/people/%ff",
]  # fmt: skip
KINDS = [
    (0x20, 0x7F), (0x80, 0x250), (0x600, 0x700), (0x2000, 0x2070), (0x3000, 0x3100),
    (0xD800, 0xE010), (0xFF00, 0x10000), (0x1F300, 0x1F700), (0xE0000, 0xE0080),
]  # fmt: skip


def must_be_answered(response: httpx.Response) -> int:
    """Return the status of an answer.  Raises AssertionError if a service must not answer so."""
    assert response.status_code < 500 or response.status_code == 503, response.text
    if response.status_code >= 400 and response.request.method != "HEAD":
        told = response.json()
        assert told["error"] and told["detail"], told
    return response.status_code


def bodies(rng: np.random.Generator, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield content types and bodies: forms of damaged photos, damaged forms, no forms."""
    jpeg, webp = io.BytesIO(), io.BytesIO()
    picture = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    picture.save(jpeg, "JPEG", progressive=True)
    picture.save(webp, "WEBP")
    bmp = cv2.imencode(".bmp", np.eye(30) * 9)[1].tobytes()
    seeds = [encoded(person(1)), jpeg.getvalue(), webp.getvalue(), bmp]
    for number in range(count):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(int(rng.integers(1, 20))):
            data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
        if number % 3 == 0:
            del data[int(rng.integers(0, len(data))) :]
        fields = ("image", "left", "right", "name", "\u540d", "x" * 300)
        names = ("a.jpg", "", "../../etc/passwd", "\u202e.exe", 'q"\r\n', "\x00")
        files = [
            (fields[int(rng.integers(0, 6))], (names[int(rng.integers(0, 6))], bytes(data)))
            for _ in range(int(rng.integers(1, 4)))
        ]
        request = httpx.Request(
            "POST", "http://x", files=files, data={"name": "n" * (number % 130)}
        )
        body, kind = bytearray(request.read()), request.headers["content-type"]
        if number % 4 == 1:  # damage of the form itself
            for _ in range(int(rng.integers(1, 30))):
                body[int(rng.integers(0, min(len(body), 400)))] = int(rng.integers(0, 256))
        if number % 7 == 2:
            kind = ("", "multipart/form-data", "text/plain", kind[:-3], "\u00ff")[number % 5]
        yield kind.encode("latin1"), bytes(body)


def try_bodies(client: httpx.Client, rng: np.random.Generator, count: int) -> Counter:
    """Send bodies; return how many were answered by each status."""
    statuses: Counter[int] = Counter()
    for number, (kind, body) in enumerate(bodies(rng, count)):
        headers = {b"content-type": kind}
        response = client.post(ROUTES[number % 4], content=body, headers=headers)
        statuses[must_be_answered(response)] += 1
    whole = client.post("/embed", files={"image": encoded(person(1))})
    assert whole.status_code == 200, whole.text
    return statuses


def try_raw(url: str, rng: np.random.Generator, count: int) -> Counter:
    """Send bytes that are nearly, or not at all, HTTP; 0 counts those that got no answer."""
    place, statuses = urlsplit(url), Counter()
    good = b"POST /embed?crop=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n" \
        b"Expect: 100-continue\r\nAuthorization: Bearer x\r\n\r\nhello"  # fmt: skip
    for number in range(count):
        data = bytearray(good if number % 3 else rng.bytes(200) + b"\r\n\r\n")
        for _ in range(int(rng.integers(1, 8))):
            data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
        with closing(socket.create_connection((place.hostname, place.port), 30)) as one:
            answer = b""
            try:
                one.sendall(data)
                one.shutdown(socket.SHUT_WR)
                while part := one.recv(65536):
                    answer += part
            except ConnectionError:
                pass
        if answer:
            assert answer.startswith(b"HTTP/1.1 ") and answer[9:10] in b"124", answer[:80]
        statuses[int(answer[9:12] or 0)] += 1
    assert httpx.get(f"{url}health", timeout=30).status_code == 200
    return statuses


def try_names(client: httpx.Client, rng: np.random.Generator, count: int) -> Counter:
    """Enrol under names of all scripts and none, and forget them again."""
    statuses: Counter[int] = Counter()
    for number in range(count):
        low, high = KINDS[number % len(KINDS)]
        name = "".join(map(chr, rng.integers(low, high, int(rng.integers(1, 130)))))
        raw = name.encode(errors="surrogatepass")
        body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + raw + b"\r\n"
        body += b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        body += encoded(person(1)) + b"\r\n--x--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=x"}
        enrolled = client.post("/enroll", content=body, headers=headers)
        statuses[must_be_answered(enrolled)] += 1
        address = f"{str(client.base_url).rstrip('/')}/people/{quote(raw, safe='')}"
        gone = must_be_answered(client.request("DELETE", address))
        assert (gone == 204) == (enrolled.status_code == 201), (name, gone, enrolled.text)
    assert client.get("/people").json() == []
    return statuses


def try_tokens(send: Send) -> Counter:
    """Send each wrong token to each path, by a method in turns, to a service that demands TOKEN."""
    statuses: Counter[int] = Counter()
    for token in TOKENS:
        headers = {} if token is None else {"authorization": token.encode("latin1")}
        for path in PATHS:
            method = ("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS")[statuses.total() % 6]
            status, told, body = send(method, path, headers)
            assert status in (401, 403, 404, 422), (token, path, status)
            assert method == "HEAD" or json.loads(body)["error"], body
            assert TOKEN not in json.dumps(told) + body
            statuses[status] += 1
    return statuses


def sent_plainly(url: str) -> Send:
    """Return what sends a request as it is: httpx refuses headers that strangers may send."""
    place = urlsplit(url)

    def send(method: str, path: str, headers: dict[str, bytes]) -> tuple[int, dict, str]:
        with closing(HTTPConnection(place.hostname, place.port, timeout=60)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    return send


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "told").open("w+") as told:
        url, process = _started(Path(folder) / "people.sqlite", told)
        with httpx.Client(base_url=url, timeout=60) as client:
            _say("bodies", try_bodies(client, rng, 600))
            _say("raw requests", try_raw(url, rng, 100))
            for one in client.get("/people").json():  # whole forms among the bodies
                client.delete(f"/people/{quote(one['name'], safe='')}")
            _say("names", try_names(client, rng, 50))
        _end(process)
        url, process = _started(Path(folder) / "others.sqlite", told, TOKEN)
        _say("pairs of token and path", try_tokens(sent_plainly(url)))
        _end(process)
        told.seek(0)
        lines = told.read().splitlines()
        # libpng tells the standard error itself what is wrong with a picture, and nothing else.
        found = [line for line in lines if line.strip() and not line.startswith("libpng ")]
        print("\n".join([*found, f"{len(found)} lines in the log beside libpng's"]))
        return 1 if found else 0


def _started(store: Path, told: io.TextIOBase, token: str = "") -> tuple[str, subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serve.tiny", str(store), "30", "0", token],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=told, text=True,
    )  # fmt: skip
    return process.stdout.readline().strip(), process


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    assert process.wait(60) == 0


def _say(what: str, statuses: Counter) -> None:
    found = ", ".join(
        f"{count} {status or 'unanswered'}" for status, count in sorted(statuses.items())
    )
    print(f"{sum(statuses.values())} {what}: {found}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

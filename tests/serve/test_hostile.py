"""Strangers' bodies, raw bytes, names, tokens and paths: no 500, no traceback, JSON every time."""

from contextlib import closing
import io
import json
import logging
import socket
from urllib.parse import quote, urlsplit

from arcface_mxnet.serve import access
from arcface_mxnet.serve.access import Access
import cv2
from fastapi.testclient import TestClient
import httpx
import numpy as np
from PIL import Image
import pytest

BODIES, RAW, NAMES, PAIRS = 600, 100, 50, 180
TOKEN = "a-token-of-some-length"
ROUTES = ("/v1/embed", "/compare", "/enroll", "/search")


@pytest.fixture(autouse=True)
def no_traceback(caplog):
    yield
    assert not [record for record in caplog.records if record.exc_info]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def is_answered(response):
    assert response.status_code < 500 or response.status_code == 503, response.text
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert response.json()["error"] and response.json()["detail"]


def bodies(rng, photo):
    """Yield content types and bodies: forms of damaged photos, damaged forms, no forms."""
    jpeg, webp = io.BytesIO(), io.BytesIO()
    picture = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    picture.save(jpeg, "JPEG", progressive=True)
    picture.save(webp, "WEBP")
    seeds = [photo, jpeg.getvalue(), webp.getvalue(), cv2.imencode(".bmp", np.eye(30) * 9)[1]]
    for number in range(BODIES):
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


def test_bodies(make_app, photo):
    rng, statuses = np.random.default_rng(0), set()
    with TestClient(make_app()) as client:
        for number, (kind, body) in enumerate(bodies(rng, photo(1))):
            response = client.post(
                ROUTES[number % 4], content=body, headers={b"content-type": kind}
            )
            is_answered(response)
            statuses.add(response.status_code)
        assert client.post("/embed", files={"image": photo(1)}).status_code == 200
    assert {400, 415, 422} <= statuses


def test_raw_requests(serve, photo):
    url = serve(header_seconds=2)
    place, rng = urlsplit(url), np.random.default_rng(1)
    good = b"POST /embed?crop=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n" \
        b"Expect: 100-continue\r\nAuthorization: Bearer x\r\n\r\nhello"  # fmt: skip
    for number in range(RAW):
        data = bytearray(good if number % 3 else rng.bytes(200) + b"\r\n\r\n")
        for _ in range(int(rng.integers(1, 8))):
            data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
        with closing(socket.create_connection((place.hostname, place.port), 10)) as one:
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while part := one.recv(65536):
                    answer += part
            except ConnectionError:
                continue
        if answer:
            assert answer.startswith(b"HTTP/1.1 ") and answer[9:10] in b"124", answer[:80]
    assert httpx.get(f"{url}health").status_code == 200


def test_names(make_app, photo):
    rng = np.random.default_rng(2)
    kinds = [(0x20, 0x7F), (0x80, 0x250), (0x600, 0x700), (0x2000, 0x2070), (0x3000, 0x3100)]
    kinds += [(0xD800, 0xE010), (0xFF00, 0x10000), (0x1F300, 0x1F700), (0xE0000, 0xE0080)]
    with TestClient(make_app()) as client:
        for number in range(NAMES):
            low, high = kinds[number % len(kinds)]
            name = "".join(map(chr, rng.integers(low, high, int(rng.integers(1, 130)))))
            raw = name.encode(errors="surrogatepass")
            body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n' + raw + b"\r\n"
            body += b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            body += photo(1) + b"\r\n--x--\r\n"
            headers = {"content-type": "multipart/form-data; boundary=x"}
            enrolled = client.post("/enroll", content=body, headers=headers)
            is_answered(enrolled)
            gone = client.request("DELETE", f"http://testserver/people/{quote(raw, safe='')}")
            is_answered(gone)
            assert (gone.status_code == 204) == (enrolled.status_code == 201)
        assert client.get("/people").json() == []


def test_tokens_and_paths(make_app, monkeypatch):
    monkeypatch.setattr(access, "FIRST_PAUSE", 0)
    tokens = [None, "", "Bearer", "Bearer ", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x",
              f"Bearer  x {TOKEN}", "bearer \u00e9", f"Bearer {TOKEN[:-1]}", "Bearer " + "x" * 5000,
              "\t"]  # fmt: skip
    paths = ["/people", "/v1/people/..%2f..", "/embed", "/v1/enroll", "//people", "/v1", "/%2e%2e/",
             "/metrics", "/openapi.json", "/people/%00", "/v1/photos?name=a", "/./people",
             "/v1/photos/1", "/PEOPLE", "/people/%ff"]  # fmt: skip
    with TestClient(make_app(access=Access(TOKEN, frozenset()))) as client:
        tried = 0
        for token in tokens:
            headers = {} if token is None else {"authorization": token.encode("latin1")}
            for path in paths:
                method = ("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS")[tried % 6]
                response = client.request(method, f"http://testserver{path}", headers=headers)
                is_answered(response)
                assert response.status_code in (401, 403, 404, 422), (token, path)
                assert TOKEN not in json.dumps(dict(response.headers)) + response.text
                tried += 1
    assert tried == PAIRS


def test_wrong_tokens_take_longer_and_longer(make_app, monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(access.asyncio, "sleep", sleep)
    app = make_app(access=Access(TOKEN, frozenset()))
    client = TestClient(app)
    for token in ("a", "b", TOKEN, *"cdefghij"):
        client.get("/people", headers={"authorization": f"Bearer {token}"})
    client.get("/people")  # no token is no guess
    assert len(pauses) == 10 and pauses == sorted(pauses)
    assert pauses[0] < 0.1 and pauses[-1] == access.LONGEST_PAUSE

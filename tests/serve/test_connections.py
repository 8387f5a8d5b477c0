"""Real sockets: silent, slow, many, and those that send no HTTP."""

from contextlib import closing
import json
import socket
import time
from urllib.parse import urlsplit

from arcface_mxnet.serve.connections import client_of
import httpx
import pytest

LONG = 120  # seconds that nothing here may take, also where the machine is busy


def connected(url, sent=b""):
    place = urlsplit(url)
    one = socket.create_connection((place.hostname, place.port), timeout=LONG)
    one.sendall(sent)
    return one


def answer(one):
    """Return status and body of what comes until the connection ends, (0, {}) if nothing does."""
    data = b""
    try:
        while part := one.recv(65536):
            data += part
    except ConnectionError:
        pass
    if not data:
        return 0, {}
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    return int(head.split()[1]), json.loads(body)


SLOW_BODY = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /health HTTP/1.1\r\nHost:", SLOW_BODY],
    ids=["silent", "half a head", "half a body"],
)
def test_many_that_do_nothing_leave_room_for_others(serve, sent):
    """Others from the same address too: those that do least are closed."""
    url = serve(connections_per_client=64, header_seconds=LONG, seconds=LONG)
    held = []
    try:
        for number in range(300):
            held.append(connected(url, sent))
            if number % 60 == 59:
                begin = time.monotonic()
                ask = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                with closing(connected(url, ask)) as other:
                    assert answer(other)[0] == 200
                assert time.monotonic() - begin < LONG / 2  # benchmarks/service.py measures it
        time.sleep(0.1)
        alive = 0
        for one in held:
            one.setblocking(False)
            try:
                one.recv(1)  # of a closed one, nothing or an answer
            except BlockingIOError:
                alive += 1
            except ConnectionError:
                pass
        assert 32 <= alive <= 64
    finally:
        for one in held:
            one.close()


def test_a_request_that_is_being_answered_is_never_given_up(serve, photo, find):
    def slow(bgr):
        time.sleep(3)
        return find(bgr)

    url = serve(detect=slow, connections_per_client=8)
    with httpx.Client(base_url=url) as client:
        request = client.build_request("POST", "embed", files={"image": photo(1)})
        body = request.read()
        head = f"POST /embed HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " \
            f"{request.headers['content-type']}\r\nContent-Length: {len(body)}\r\n\r\n"  # fmt: skip
    with closing(connected(url, head.encode() + body)) as working:
        time.sleep(1)
        others = [connected(url) for _ in range(30)]
        assert answer(working)[0] == 200
        for one in others:
            one.close()


def test_silence_and_slow_heads_end(serve):
    url = serve(header_seconds=1)
    begin = time.monotonic()
    with closing(connected(url)) as silent, closing(connected(url, b"GET / HT")) as slow:
        drip = connected(url, b"GET /health HTTP/1.1\r\n")
        with pytest.raises(ConnectionError), closing(drip):  # noqa: PT012
            for number in range(100):
                drip.sendall(b"x-%d: 1\r\n" % number)
                time.sleep(0.05)
        assert answer(silent) == (0, {})
        status, body = answer(slow)
        assert status == 408 and body["error"] == "too_slow"
    assert time.monotonic() - begin < LONG


def test_a_connection_is_kept_and_then_closed(serve):
    url = serve(header_seconds=1)
    with closing(connected(url)) as one:
        for _ in range(2):
            one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b""
            while not data.endswith(b"}}"):  # of the body
                data += one.recv(65536)
            assert data.startswith(b"HTTP/1.1 200")
        one.sendall(b"GET /hea")  # a second head that does not come to its end
        assert answer(one)[0] == 408


def test_an_answer_that_nobody_reads_ends(serve, monkeypatch):
    from arcface_mxnet.serve import app

    monkeypatch.setattr(app.Metrics, "text", lambda self: bytes(20_000_000))
    url = serve(seconds=0.5)
    with closing(connected(url, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")) as one:
        time.sleep(4)
        received = 0
        try:
            while part := one.recv(1 << 20):
                received += len(part)
        except ConnectionError:
            pass
        assert received < 20_000_000


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"hello\r\n\r\n", 400, "bad_http"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_http"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_http"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000, 431, "too_long_head"),
        (b"POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
         400, "bad_http"),
        (b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "bad_http"),
        (b"POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\n",
         501, "bad_http"),
    ],
)  # fmt: skip
def test_what_is_no_http_is_answered_in_json(serve, sent, status, code):
    url = serve()
    with closing(connected(url, sent)) as one:
        found, body = answer(one)
    assert (found, body["error"]) == (status, code) and body["detail"]
    assert httpx.get(f"{url}health").status_code == 200


def test_a_client_of_ipv6_is_its_network():
    assert client_of("10.1.2.3") == "10.1.2.3" == client_of("::ffff:10.1.2.3")
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1") != client_of("2001:db9::1")
    assert client_of("") == ""


def test_the_service_ends_whatever_its_connections_do(serve, caplog):
    url = serve(header_seconds=LONG, seconds=LONG)
    held = [connected(url, sent) for sent in (b"", b"GET /hea", SLOW_BODY, b"\xff\r\n\r\n")]
    time.sleep(0.2)
    begin = time.monotonic()
    serve.stop()
    assert time.monotonic() - begin < LONG / 2
    assert answer(held[2])[1]["error"] == "ending"
    assert not [record for record in caplog.records if record.exc_info]
    for one in held:
        one.close()

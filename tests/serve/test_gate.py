"""Who may ask, and what happens when too many do."""

import asyncio
from contextlib import contextmanager
import json
import threading
import time

from arcface_mxnet.serve import answers
from arcface_mxnet.serve import app as application
from arcface_mxnet.serve.access import Access
from arcface_mxnet.serve.limits import Limits
from arcface_mxnet.serve.people import People
from arcface_mxnet.serve.store import Store
from fastapi.testclient import TestClient
import httpx
import pytest

TOKEN = "a-token-of-some-length"


def test_a_token_is_demanded_everywhere_but_for_the_page(make_app, photo):
    with TestClient(make_app(access=Access(TOKEN, frozenset()))) as client:
        files = {"image": photo(1)}
        for path in ("/", "/page.js", "/health", "/ready", "/v1/health", "/v1/ready"):
            assert client.get(path).status_code == 200
        for path in ("/people", "/metrics", "/openapi.json"):
            assert client.get(path).status_code == 401
        for given in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \u00e9".encode()):
            response = client.post("/embed", files=files, headers={"authorization": given})
            assert response.status_code == 401
        headers = {"authorization": f"Bearer {TOKEN}"}
        assert client.post("/embed", files=files, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8112", None, 200),
        ("localhost:8112", "http://localhost:8112", 200),
        ("[::1]:8112", None, 200),
        ("rebound.example:8112", None, 403),
        ("127.0.0.1:8112", "http://other.example", 403),
        ("127.0.0.1:8112", "null", 403),
        ("[::1", None, 403),
    ],
)
def test_pages_of_other_sites_are_kept_out(make_app, photo, host, origin, status):
    headers = {"host": host} | ({"origin": origin} if origin else {})
    with TestClient(make_app(access=Access())) as client:
        response = client.post("/embed", files={"image": photo(1)}, headers=headers)
        assert response.status_code == status


def in_parallel(app, requests):
    """Return the responses to requests (path, files) sent at once, and the metrics after."""

    async def send():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            posts = [client.post(path, files=files) for path, files in requests]
            responses = await asyncio.gather(*posts)
            return responses, (await client.get("/metrics")).text

    async def live():
        async with app.router.lifespan_context(app):
            return await send()

    return asyncio.run(live())


def test_more_than_may_wait_are_told_to_come_back(make_app, photo, find):
    def slow(bgr):
        time.sleep(0.3)  # until all have come
        return find(bgr)

    app = make_app(detect=slow, waiting=4)
    responses, _ = in_parallel(app, [("/embed", {"image": photo(1)})] * 12)
    statuses = [response.status_code for response in responses]
    assert sorted(statuses) == [200] * 4 + [503] * 8
    refused = next(response for response in responses if response.status_code == 503)
    assert refused.headers["retry-after"] == "1" and refused.json()["error"] == "busy"


def test_a_long_list_holds_nobody_up(make_app, monkeypatch):
    """It becomes JSON in the thread of the store, row by row."""
    written, threads = answers._one_line, set()

    def noted(row):
        threads.add(threading.current_thread())
        return written(row)

    names = {f"person {number}": 1 for number in range(1000)}
    monkeypatch.setattr(People, "names", lambda people, after, limit: names)
    monkeypatch.setattr(answers, "_one_line", noted)

    async def live():
        app = make_app()
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
        async with app.router.lifespan_context(app), client:
            return (await client.get("/v1/people")).content, threading.current_thread()

    content, of_loop = asyncio.run(live())
    assert json.loads(content) == [{"name": name, "photos": 1} for name in names]
    assert threads and of_loop not in threads


def test_a_request_that_is_done_makes_room(make_app, photo):
    with TestClient(make_app(waiting=1)) as client:
        for body, status in ((photo(1), 200), (b"junk", 415), (photo(1), 200)):
            assert client.post("/embed", files={"image": body}).status_code == status


def test_concurrent_requests_share_a_batch_and_keep_their_answers(make_app, photo, find, embed):
    calls = []
    photos = [photo(number) for number in range(8)]
    all_found = threading.Barrier(len(photos) + 1)

    def found(bgr):
        faces = find(bgr)
        threading.Thread(target=all_found.wait, args=(30,), daemon=True).start()
        return faces

    def held(rgb_nhwc):
        calls.append(rgb_nhwc)
        if len(calls) == 2:  # the first is the store's probe
            all_found.wait(30)
            time.sleep(1)  # from found to waiting
        return embed(rgb_nhwc)

    app = make_app(detect=found, embed=held)
    together, metrics = in_parallel(app, [("/embed", {"image": data}) for data in photos])
    assert "face_batch_size_count 2.0" in metrics and "face_batch_size_sum 8.0" in metrics
    with TestClient(make_app()) as client:
        for data, response in zip(photos, together, strict=True):
            alone = client.post("/embed", files={"image": data}).json()
            assert response.json()["embedding"] == pytest.approx(alone["embedding"], abs=1e-5)


def test_a_request_that_takes_too_long_is_given_up(make_app, photo, find):
    def stuck(bgr):
        time.sleep(0.6)
        return find(bgr)

    app = make_app(detect=stuck, seconds=0.2)
    (response,), _ = in_parallel(app, [("/embed", {"image": photo(1)})])
    assert response.status_code == 503 and response.json()["error"] == "too_slow"


@pytest.mark.parametrize("slow_part", ["detector", "store"])
def test_what_is_answered_503_is_not_stored(make_app, photo, find, monkeypatch, slow_part):
    def slow(*arguments):
        time.sleep(0.6)
        return find(*arguments) if arguments else None

    if slow_part == "store":
        monkeypatch.setattr(Store, "changing", slowly(Store.changing, 0.6))
    detect = slow if slow_part == "detector" else find
    with TestClient(make_app(detect=detect, seconds=0.3)) as client:
        response = client.post("/enroll", data={"name": "Ada"}, files={"image": photo(1)})
        assert response.status_code == 503 and response.json()["error"] == "too_slow"
        time.sleep(1)
        assert client.get("/people").json() == []


def slowly(changing, seconds):
    """Return Store.changing, with a disk that takes its time before the end of a transaction."""

    @contextmanager
    def changed(self, deadline):
        with changing(self, deadline) as database:
            yield database
            time.sleep(seconds)

    return changed


def test_a_request_refused_for_one_photo_is_in_progress_while_others_are(make_app, photo, find):
    done = []

    def slow(bgr):
        time.sleep(0.3)
        done.append(bgr)
        return find(bgr)

    with TestClient(make_app(detect=slow)) as client:
        files = [("image", b"junk"), ("image", photo(1))]
        assert client.post("/enroll", data={"name": "a"}, files=files).status_code == 415
        assert len(done) == 1


def test_a_body_that_does_not_arrive_is_given_up(make_app):
    async def trickle():
        yield b"--x"
        await asyncio.sleep(5)

    async def send():
        app = make_app(seconds=0.2)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"content-type": "multipart/form-data; boundary=x"}
            return await client.post("/embed", content=trickle(), headers=headers)

    assert asyncio.run(send()).status_code == 408


def test_a_fault_of_ours_is_answered_and_does_not_stop_the_service(make_app, photo, find):
    calls = []

    def breaks_once(bgr):
        calls.append(bgr)
        if len(calls) == 1:
            raise RuntimeError("broken")
        return find(bgr)

    with TestClient(make_app(detect=breaks_once), raise_server_exceptions=False) as client:
        broken = client.post("/embed", files={"image": photo(1)})
        assert broken.status_code == 500 and broken.json()["error"] == "fault"
        assert client.post("/embed", files={"image": photo(1)}).status_code == 200


def test_limits_are_positive_and_finite():
    with pytest.raises(ValueError, match="above 0 and finite: --max-pixels 0, --max-waiting -1"):
        Limits(pixels=0, waiting=-1)
    for value in ("nan", "inf"):
        with pytest.raises(ValueError, match="above 0 and finite: --max-idle-seconds"):
            Limits(idle_seconds=float(value))


@pytest.mark.parametrize(("given", "words"), [
    ({"request_bytes": 10}, "^--max-request-bytes 10 is below --max-photo-bytes 10485760: a photo"),
    ({"body_bytes": 20_000_000}, "^--max-body-bytes 20000000 is below --max-request-bytes 314"),
])  # fmt: skip
def test_limits_that_contradict_each_other_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Limits(**given)
    assert Limits(photo_bytes=9, request_bytes=9, body_bytes=9).body_bytes == 9


def test_the_service_ends_while_changes_are_brought_into_the_file(make_app, monkeypatch):
    working = threading.Event()

    def slow(people):
        working.set()
        time.sleep(0.3)

    monkeypatch.setattr(application, "LOG_SECONDS", 0.01)
    monkeypatch.setattr(People, "empty_log", slow)
    app = make_app()

    async def live():
        async with app.router.lifespan_context(app):
            while not working.is_set():
                await asyncio.sleep(0.01)

    async def ended():
        return not (await asyncio.wait([asyncio.ensure_future(live())], timeout=10))[1]

    loop = asyncio.new_event_loop()  # asyncio.run() would wait for what does not end
    assert loop.run_until_complete(ended())
    loop.close()

"""Some of what tests/serve/hostile.py sends, to the service within the test's own process."""

import logging

from arcface_mxnet.serve import access
from arcface_mxnet.serve.access import Access
from fastapi.testclient import TestClient
import numpy as np
import pytest

from tests.serve import hostile
from tests.serve.hostile import PATHS, TOKEN, TOKENS


@pytest.fixture(autouse=True)
def no_traceback(caplog):
    yield
    assert not [record for record in caplog.records if record.exc_info]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_bodies(make_app):
    with TestClient(make_app()) as client:
        statuses = hostile.try_bodies(client, np.random.default_rng(0), 150)
    assert statuses.total() == 150 and {400, 415, 422} <= set(statuses)


def test_raw_requests(serve):
    statuses = hostile.try_raw(serve(header_seconds=2), np.random.default_rng(1), 40)
    assert statuses.total() == 40 and statuses[400] > 10


def test_names(make_app):
    with TestClient(make_app()) as client:
        statuses = hostile.try_names(client, np.random.default_rng(2), 18)
    assert statuses[201] > 0 and statuses[422] > 0


def test_tokens_and_paths(make_app, monkeypatch):
    monkeypatch.setattr(access, "FIRST_PAUSE", 0)
    with TestClient(make_app(access=Access(TOKEN, frozenset()))) as client:

        def send(method, path, headers):
            answer = client.request(method, f"http://testserver{path}", headers=headers)
            return answer.status_code, dict(answer.headers), answer.text

        assert hostile.try_tokens(send).total() == len(TOKENS) * len(PATHS) == 180


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

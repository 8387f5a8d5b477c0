"""The service with a tiny detector and a tiny network: everything else is the real thing."""

from dataclasses import fields
import threading
import time

from arcface_mxnet.serve.access import Access
from arcface_mxnet.serve.connections import HEAD_BYTES, Guard, protocol_of
from arcface_mxnet.serve.limits import Limits
from fastapi.testclient import TestClient
import pytest
import uvicorn

from tests.serve import tiny
from tests.serve.tiny import detect, embed, encoded, person

LIMITS = {field.name for field in fields(Limits)}


@pytest.fixture
def photo():
    """Return the function photo(number, noise=0) -> PNG bytes."""
    return lambda number, noise=0: encoded(person(number, noise))


@pytest.fixture
def find():
    """Return the tiny detector."""
    return detect


@pytest.fixture(name="embed")
def embed_():
    """Return the tiny network."""
    return embed


@pytest.fixture
def make_app(tmp_path):
    """Return a function that makes the application; the store stays between calls."""
    stores = []

    def make(access=Access(hosts=frozenset()), detect=detect, embed=embed, **limits):  # noqa: B008
        for store in stores:
            store.close()
        options = {"detect": detect, "embed": embed, "access": access}
        app, people = tiny.made(tmp_path / "people.sqlite", Limits(**limits), **options)
        stores.append(people)
        return app

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def serve(make_app):
    """Return a function that serves the application on a socket and returns its address."""
    servers = []

    def start(**options):
        limits = Limits(**{k: v for k, v in options.items() if k in LIMITS})
        config = uvicorn.Config(
            make_app(**options), port=0, log_level="warning", http=protocol_of(Guard(limits)),
            h11_max_incomplete_event_size=HEAD_BYTES, ws="none", timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"

    def stop():
        while servers:
            server, thread = servers.pop()
            server.should_exit = True
            thread.join()

    start.stop = stop
    yield start
    stop()


@pytest.fixture
def client(make_app):
    with TestClient(make_app()) as client:
        yield client

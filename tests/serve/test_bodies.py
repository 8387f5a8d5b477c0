"""Bodies in memory: together within a bound, and counted until they are given back."""

import asyncio

from arcface_mxnet.serve.bodies import Bodies
from arcface_mxnet.serve.limits import Limits
from arcface_mxnet.serve.refusal import Refusal
import pytest

LIMITS = Limits(photo_bytes=600, request_bytes=600, body_bytes=1000, seconds=0.2)


def sending(*sizes):
    parts = [
        {"type": "http.request", "body": bytes(size), "more_body": i + 1 < len(sizes)}
        for i, size in enumerate(sizes)
    ]

    async def receive():
        return parts.pop(0) if parts else await asyncio.sleep(5)

    receive.parts = parts
    return receive


def read(bodies, client, *sizes, **options):
    return asyncio.run(bodies.read(client, sending(*sizes), **options))


def test_what_is_held_is_bounded_and_one_client_leaves_room_for_others():
    bodies = Bodies(LIMITS)
    first = read(bodies, "a", 300, 300)
    assert len(first) == bodies.held == 600
    other = read(bodies, "b", 300)
    full = sending(200, 100, 0)
    with pytest.raises(Refusal) as refused:
        asyncio.run(bodies.read("c", full))
    assert refused.value.status == 503 and refused.value.retry_after
    assert not full.parts  # read to its end, or the client would not get to its answer
    assert bodies.held == 900
    with pytest.raises(Refusal):
        read(bodies, "a", 50)  # it has more than its half
    read(bodies, "c", 50)
    bodies.give_back("a", first)
    bodies.give_back("b", other)
    assert bodies.held == 50


def test_what_fails_is_held_no_more():
    bodies = Bodies(LIMITS)
    for sizes, status in (((300, 301), 413), ((300, 0), 408)):
        receive = sending(*sizes)
        if status == 408:
            receive.parts[-1]["more_body"] = True
        with pytest.raises(Refusal) as refused:
            asyncio.run(bodies.read("a", receive))
        assert refused.value.status == status and bodies.held == 0

    async def cut():
        return {"type": "http.disconnect"}

    with pytest.raises(Refusal, match="ended early"):
        asyncio.run(bodies.read("a", cut))
    assert read(bodies, "a", 300, keep=False) == b"" and bodies.held == 0

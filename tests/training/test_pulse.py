"""Who is lost is found by the signs of life that stay away, or by what was told."""

import time

import pytest

dist = pytest.importorskip(
    "torch.distributed", reason="needs torch: pip install 'arcface_mxnet[torch]'"
)

from arcface_mxnet.training.pulse import SILENT, Pulse, tell_failure  # noqa: E402
from arcface_mxnet.training.world import refuse_other_versions  # noqa: E402

NEVER = 3600.0  # seconds from one beat to the next: the tests beat themselves


@pytest.fixture
def start():
    """Return a function that makes the pulse of a rank, and the store that all share."""
    store, started = dist.HashStore(), []

    def make(rank, count, beat=NEVER):
        started.append(Pulse(store, rank, count, beat=beat))
        return started[-1]

    yield make, store
    for pulse in started:
        pulse.stop()


def beat(pulses, times):
    for _ in range(times):
        for pulse in pulses:
            pulse.beat()


def test_one_that_beats_no_more_is_found_by_all(start):
    three = [start[0](rank, 3) for rank in range(3)]
    for pulse in three:
        pulse.listen(range(3))
    beat(three, 3 * SILENT)
    assert [pulse.lost for pulse in three] == [None] * 3
    others = three[0], three[2]
    beat(others, 1)  # one more of the lost may not have been seen yet
    beat(others, SILENT - 1)
    assert three[0].lost is None
    beat(others, 1)
    assert {pulse.lost.rank for pulse in others} == {1} and three[1].lost is None
    assert "no sign of life for" in three[0].lost.reason


def test_one_that_fails_tells_why(start):
    make, store = start
    pulse = make(0, 3, beat=0.02)  # by its thread
    pulse.listen(range(3))
    tell_failure(store, 2, "failed: no data", diverged=True)
    until = time.monotonic() + 60
    while pulse.lost is None and time.monotonic() < until:
        time.sleep(0.01)
    assert pulse.lost == (2, "failed: no data", True)


def test_one_that_has_not_come_yet_is_not_missed(start):
    pulse = start[0](0, 2)
    beat([pulse], 3 * SILENT)
    assert pulse.lost is None
    pulse.listen([0, 1])
    beat([pulse], SILENT)
    assert pulse.lost.rank == 1


def test_another_version_is_named():
    same = {"protocol": 1, "arcface_mxnet": "9", "torch": "2.13"}
    refuse_other_versions([same, same], ["a", "b"])
    with pytest.raises(ValueError, match=r"b has torch 2\.5, a has 2\.13"):
        refuse_other_versions([same, same | {"torch": "2.5"}], ["a", "b"])

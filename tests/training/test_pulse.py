"""Who is lost is found by the signs of life that stay away, or by what was told."""

import time

import pytest

dist = pytest.importorskip(
    "torch.distributed", reason="needs torch: pip install 'arcface_mxnet[torch]'"
)

from arcface_mxnet.training.pulse import SILENT, Pulse, tell_failure  # noqa: E402
from arcface_mxnet.training.world import refuse_other_versions  # noqa: E402

BEAT = 0.02


@pytest.fixture
def pulses():
    store = dist.HashStore()
    started = [Pulse(store, rank, 3, beat=BEAT) for rank in range(3)]
    for pulse in started:
        pulse.listen(range(3))
    yield started, store
    for pulse in started:
        pulse.stop()


def found(pulse):
    until = time.monotonic() + 10
    while pulse.lost is None and time.monotonic() < until:
        time.sleep(BEAT)
    return pulse.lost


def test_one_that_beats_no_more_is_found_by_all(pulses):
    started, _ = pulses
    time.sleep(2 * SILENT * BEAT)
    assert [pulse.lost for pulse in started] == [None] * 3
    started[1].stop()
    assert {found(started[0]).rank, found(started[2]).rank} == {1}
    assert "no sign of life" in started[0].lost.reason


def test_one_that_fails_tells_why(pulses):
    started, store = pulses
    tell_failure(store, 2, "failed: no data", diverged=True)
    assert found(started[0]) == (2, "failed: no data", True)


def test_one_that_has_not_come_yet_is_not_missed():
    pulse = Pulse(dist.HashStore(), 0, 2, beat=BEAT)
    time.sleep(3 * SILENT * BEAT)
    assert pulse.lost is None
    pulse.listen([0, 1])
    assert found(pulse).rank == 1
    pulse.stop()


def test_another_version_is_named():
    same = {"protocol": 1, "arcface_mxnet": "9", "torch": "2.13"}
    refuse_other_versions([same, same], ["a", "b"])
    with pytest.raises(ValueError, match=r"b has torch 2\.5, a has 2\.13"):
        refuse_other_versions([same, same | {"torch": "2.5"}], ["a", "b"])

"""No wait without end."""

import threading

from arcface_mxnet.training import watch as module
from arcface_mxnet.training.watch import IN_A_ROW, Watch, beat, seconds
import pytest


class Ended:
    """Takes the place of the process's end."""

    def __init__(self):
        self.reasons, self._happened = [], threading.Event()

    def __call__(self, reason):
        self.reasons.append(reason)
        self._happened.set()

    def wait(self, timeout):
        return self._happened.wait(timeout)


def test_a_block_that_takes_too_long_ends_the_process():
    ended = Ended()
    watch = Watch(every=0.01, end=ended)
    with watch.within(0.1, "waiting for machine 1"):
        assert ended.wait(10)
    watch.stop()
    assert ended.reasons[0] == "waiting for machine 1 took more than 0.1 s"


def test_a_block_that_ends_in_time_does_not():
    ended = Ended()
    watch = Watch(every=0.01, end=ended)
    with watch.within(0.2, "waiting"):
        pass
    assert not ended.wait(0.5)
    watch.stop()


def test_who_is_gone_ends_it_but_a_moment_of_silence_does_not():
    ended, asked, silence = Ended(), threading.Semaphore(0), [True] * (IN_A_ROW - 1) + [False]
    answers = iter(silence * 3 + [True] * IN_A_ROW)

    def lost():
        asked.release()
        return "machine 1" if next(answers, False) else None

    watch = Watch(lost, every=0.01, end=ended)
    for _ in range(len(silence) * 3):
        assert asked.acquire(timeout=10)
    assert not ended.reasons
    assert ended.wait(10)
    watch.stop()
    assert ended.reasons == ["machine 1"]


def test_what_is_asked_can_be_replaced_and_is_not_in_use_then():
    ended, asking, go_on = Ended(), threading.Event(), threading.Event()
    in_use = []

    def slow():
        in_use.append(True)
        asking.set()
        go_on.wait(10)
        in_use.pop()

    watch = Watch(slow, every=0.01, end=ended)
    assert asking.wait(10)
    threading.Timer(0.1, go_on.set).start()
    watch.ask()
    assert not in_use
    watch.stop()


def test_heartbeats_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("PS_HEARTBEAT_INTERVAL", raising=False)
    monkeypatch.delenv("PS_HEARTBEAT_TIMEOUT", raising=False)
    assert (beat(), seconds(module.TIMEOUT)) == (3, 30)
    assert module.os.environ["PS_HEARTBEAT_INTERVAL"] == "3"
    monkeypatch.setenv("PS_HEARTBEAT_INTERVAL", "5")
    assert beat() == 5
    monkeypatch.setenv("PS_HEARTBEAT_TIMEOUT", "0")
    with pytest.raises(ValueError, match="PS_HEARTBEAT_TIMEOUT=0: give whole seconds, at least 1"):
        beat()

"""The processes of a start find each other, whatever earlier starts have left in the store."""

from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.training import meeting  # noqa: E402


def started(store, count, ranks=None):
    """Return the names that the processes of a start get, played by threads."""
    ranks = list(range(count)) if ranks is None else ranks
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda rank: meeting.meet(store, rank, count), ranks))


def test_each_start_has_a_name_of_its_own():
    store = torch.distributed.HashStore()
    names = []
    for count in (2, 2, 3, 2):  # whoever was there before
        found = started(store, count)
        assert len(set(found)) == 1
        names.append(found[0])
    assert len(set(names)) == 4


def test_one_that_asked_and_is_no_more_is_not_taken_for_the_next(monkeypatch):
    monkeypatch.setattr(meeting, "JOINING", 0.3)
    store = torch.distributed.HashStore()
    with pytest.raises(ValueError, match="process 0 did not come within 0.3 s"):
        meeting.meet(store, 1, 2)
    with pytest.raises(ValueError, match="process 1 did not come within 0.3 s"):
        meeting.meet(store, 0, 2)
    assert len(set(started(store, 2))) == 1

"""Labels beside curves: none on another, none far from where it wants to be."""

from arcface_mxnet.report.labels import shortened, spread, width_of
import numpy as np
import pytest


def test_labels_that_do_not_collide_stay():
    assert spread([50, 10, 30], 10, 0, 100) == [50, 10, 30]


def test_labels_that_collide_stand_around_their_mean():
    assert spread([50, 50], 10, 0, 100) == [45, 55]
    assert spread([50, 52, 90], 10, 0, 100) == [46, 56, 90]
    assert spread([40, 41, 42], 10, 0, 100) == [31, 41, 51]


def test_the_ends_hold():
    assert spread([99, 98, 97], 10, 0, 100) == [100, 90, 80]
    assert spread([1, 2], 10, 0, 100) == [0, 10]
    assert spread([5] * 5, 10, 0, 20) == [0, 5, 10, 15, 20]  # too narrow for all


@pytest.mark.parametrize("seed", range(20))
def test_any_labels_are_apart_and_in_order(seed):
    rng = np.random.default_rng(seed)
    wanted = rng.uniform(0, 200, rng.integers(1, 12)).tolist()
    places = spread(wanted, 14, 0, 200)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(np.array(places)[order]) >= 14 - 1e-9).all()
    assert min(places) >= -1e-9 and max(places) <= 200 + 1e-9


def test_long_names_lose_their_middle():
    assert shortened("r50", 7) == "r50"
    assert shortened("r100-ms1mv2-arcface", 7) == "r100-…cface"
    for name in ("x" * 50, "w" * 50, "i" * 50, "顔" * 50, "ab"):
        short = shortened(name, 7)
        assert width_of(short) <= 7 and name.startswith(short.split("…")[0])
        assert name.endswith(short.split("…")[-1])
    assert len(shortened("w" * 50, 7)) < len(shortened("i" * 50, 7))

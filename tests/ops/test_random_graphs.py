"""Two hundred random graphs, rewritten in every way, against float64; fuzz_graphs.py takes more."""

from collections import Counter

from arcface_mxnet.ops import layouts
from arcface_mxnet.ops.library import load_operators
import numpy as np
import pytest

from tests.ops.agreement import count_near, judge
from tests.ops.random_graphs import Kink, RandomGraph

COUNT = 100
# What must have been compared, or the sweep has become an empty one.
FEWEST = {
    "arcface_prelu": 300,
    "arcface_batchnorm": 20,
    "arcface_pointwise": 20,
    "arcface_depthwise": 10,
    "elemwise_sub": 200,  # of the convolution form of PReLU
}


def test_random_graphs(monkeypatch, capsys):
    assert load_operators()
    monkeypatch.setattr(layouts, "_has_avx512", lambda: True)
    differences, kinks, stock, operators = [], 0, 0, Counter()
    for seed in range(COUNT):
        verdict = judge(RandomGraph(seed))
        differences += [f"seed {seed}: {difference}" for difference in verdict.differences]
        kinks, stock = kinks + verdict.kinks, stock + verdict.stock_is_wrong
        operators.update(verdict.operators)
    with capsys.disabled():
        print(f"\n{COUNT} random graphs: {kinks} points at kinks set apart, stock wrong in {stock}")
    assert not differences, "\n".join(differences)
    assert stock <= COUNT / 50  # or the reference is what is wrong
    assert {op: operators[op] for op, least in FEWEST.items() if operators[op] < least} == {}


@pytest.mark.parametrize(
    "values,near",
    [([1, -1, 0.5], 0), ([1, -1e-6, 0.5], 1), ([1, 3e-6, 2e-6], 2), ([1, 0, 0], 0)],
)
def test_points_at_the_kink_of_a_relu(values, near):
    assert count_near(np.array(values, float).reshape(1, 1, 1, 3), Kink("")) == near


@pytest.mark.parametrize(
    "values,near",
    [([3, 1, 2, 0], 0), ([3, 3 - 1e-6, 2, 0], 1), ([3, 3, 2, 0], 0), ([3, 0, 1, 1 + 1e-6], 0)],
)
def test_points_at_the_kink_of_a_pooling(values, near):
    pool = {"kernel": (2, 2), "stride": (1, 1), "pad": (0, 0)}
    assert count_near(np.array(values, float).reshape(1, 1, 2, 2), Kink("", pool)) == near

"""Losses whose margins depend on more than the target's angle: circle, magface, adaface, ..."""

import math

import numpy as np
import pytest

SCALE = 6.0


def added_angle(cosine, m):
    if cosine > math.cos(math.pi - m):
        return math.cos(math.acos(cosine) + m)
    return cosine - m * math.sin(m)


def test_circle(build, run, at_angles, assert_slopes, cross_entropy, cosine_table):
    m = 0.25
    x, weight, label = at_angles([2, 30, 60, 76, 100, 120, 170])
    start = cosine_table(x, weight)  # the weights of the terms get no gradient

    def logits(x, weight):
        table = cosine_table(x, weight)
        for i, own in enumerate(label):
            for j in range(5):
                if j == own:
                    table[i, j] = max(1 + m - start[i, j], 0) * (table[i, j] - (1 - m))
                else:
                    table[i, j] = max(start[i, j] + m, 0) * (table[i, j] - m)
        return SCALE * table

    assert (start < -m).any()  # a class beyond the branch
    loss = build("circle", 5, margin_s=SCALE, margin_m=m)
    result = run(loss, x, label, {"fc7_weight": weight})
    assert_slopes(lambda x: cross_entropy(logits(x, weight), label), x, result.gradients["x"])
    assert_slopes(
        lambda w: cross_entropy(logits(x, w), label), weight, result.gradients["fc7_weight"]
    )


def test_magface(build, run, at_angles, assert_slopes, cross_entropy, cosine_table):
    low, high, low_margin, high_margin, share = 1.0, 5.0, 0.45, 0.8, 3.5
    lengths = [0.5, 1.5, 2.0, 3.0, 4.5, 6.0, 3.0]  # shorter and longer than the range too
    x, weight, label = at_angles([10, 40, 90, 120, 133, 150, 165], lengths=lengths)

    def objective(x, weight):
        table, second = cosine_table(x, weight), 0.0
        for i, own in enumerate(label):
            a = min(max(np.linalg.norm(x[i]), low), high)
            m = (high_margin - low_margin) / (high - low) * (a - low) + low_margin
            table[i, own] = added_angle(table[i, own], m)
            second += (1 / a + a / high**2) / len(label)
        return cross_entropy(SCALE * table, label) + share * second

    loss = build(
        "magface", 5, margin_s=SCALE, mag_min_length=low, mag_max_length=high, mag_weight=share
    )
    result = run(loss, x, label, {"fc7_weight": weight})
    assert_slopes(lambda x: objective(x, weight), x, result.gradients["x"])
    assert_slopes(lambda w: objective(x, w), weight, result.gradients["fc7_weight"])


def test_adaface(build, run, at_angles, assert_slopes, cross_entropy, cosine_table):
    m, h, decay = 0.4, 0.333, 0.9
    lengths = [0.5, 4.0, 8.0, 12.0, 16.0, 150.0, 30.0]  # z is cut at both ends
    x, weight, label = at_angles([10, 40, 90, 120, 140, 160, 179], lengths=lengths)
    used = np.clip(lengths, 0.001, 100)
    mean = decay * 9.0 + (1 - decay) * used.mean()
    std = decay * 2.0 + (1 - decay) * used.std(ddof=1)
    z = np.clip(h * (used - mean) / (std + 1e-3), -1, 1)
    assert z.min() < -0.3
    assert z.max() == 1

    def logits(x, weight):
        table = cosine_table(x, weight)
        for i, own in enumerate(label):
            moved = min(max(math.acos(table[i, own]) - m * z[i], 1e-3), math.pi - 1e-3)
            table[i, own] = math.cos(moved) - (m + m * z[i])
        return SCALE * table

    loss = build("adaface", 5, margin_s=SCALE, margin_m=m, adaface_h=h, running_decay=decay)
    arrays = {"fc7_weight": weight, "length_mean": [[9.0]], "length_std": [[2.0]]}
    result = run(loss, x, label, arrays)
    assert_slopes(lambda x: cross_entropy(logits(x, weight), label), x, result.gradients["x"])
    assert_slopes(
        lambda w: cross_entropy(logits(x, w), label), weight, result.gradients["fc7_weight"]
    )
    np.testing.assert_allclose(result.states["length_mean"], [[mean]], rtol=1e-6)
    np.testing.assert_allclose(result.states["length_std"], [[std]], rtol=1e-6)


def test_curricularface(build, run, at_angles, assert_slopes, cross_entropy, cosine_table):
    m, decay = 0.5, 0.8
    x, weight, label = at_angles([5, 30, 60, 90, 120, 150, 170])
    start = cosine_table(x, weight)
    t = decay * 0.4 + (1 - decay) * np.mean([start[i, own] for i, own in enumerate(label)])

    def logits(x, weight):
        table = cosine_table(x, weight)
        for i, own in enumerate(label):
            target = added_angle(table[i, own], m)
            for j in range(5):
                if table[i, j] > target:
                    table[i, j] *= t + table[i, j]
            table[i, own] = target
        return SCALE * table

    is_hard = [start[i] > added_angle(start[i, own], m) for i, own in enumerate(label)]
    assert 0.2 < np.mean(is_hard) < 0.8  # both sides of the branch
    loss = build("curricularface", 5, margin_s=SCALE, margin_m=m, running_decay=decay)
    result = run(loss, x, label, {"fc7_weight": weight, "curriculum": [[0.4]]})
    assert_slopes(lambda x: cross_entropy(logits(x, weight), label), x, result.gradients["x"])
    assert_slopes(
        lambda w: cross_entropy(logits(x, w), label), weight, result.gradients["fc7_weight"]
    )
    np.testing.assert_allclose(result.states["curriculum"], [[t]], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("adaface", {"length_mean": 20.0, "length_std": 100.0}),
        ("curricularface", {"curriculum": 0.0}),
        ("center", {"fc7_centers": 0.0}),
    ],
)
def test_states_start_as_published_and_rest_in_inference(name, starts, build, run, at_angles):
    import mxnet as mx

    x, weight, label = at_angles([20, 70, 120])
    loss = build(name, 5)
    symbol = loss.symbol(mx.sym.Variable("x"), mx.sym.Variable("softmax_label"))
    assert set(symbol.list_auxiliary_states()) == set(starts)
    for state, start in starts.items():
        array = mx.nd.full((2, 2), 7)
        mx.init.Xavier()(mx.init.InitDesc(state, symbol.attr_dict()[state]), array)
        assert (array.asnumpy() == start).all()
    arrays = {"fc7_weight": weight}
    resting = run(loss, x, label, arrays, is_train=False).states
    moving = run(loss, x, label, arrays).states
    for state in starts:
        assert (resting[state] == 0).all()  # as the fixture fills it
        assert (moving[state] != 0).any()

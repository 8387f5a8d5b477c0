"""Losses that change the target's cosine alone: formulas of the papers, angle by angle."""

import math

import mxnet as mx
import numpy as np
import pytest

M = 0.5
LIMIT = math.degrees(math.pi - M)  # 151.35: ArcFace's branch
AROUND_LIMIT = [5, 40, 80, 89, 91, 120, LIMIT - 0.5, LIMIT + 0.5, 175]


def arcface(theta):
    if math.cos(theta) > math.cos(math.pi - M):
        return math.cos(theta + M)
    return math.cos(theta) - math.sin(math.pi - M) * M


def easy_arcface(theta):
    return math.cos(theta + M) if math.cos(theta) > 0 else math.cos(theta)


def psi(theta, margin):
    k = min(int(theta * margin / math.pi), margin - 1)
    return (-1) ** k * math.cos(margin * theta) - 2 * k


def sphereface(margin, beta):
    return lambda theta: (psi(theta, margin) + beta * math.cos(theta)) / (1 + beta)


QUARTERS = [3, 44, 46, 89, 91, 134, 136, 177]  # both sides of k pi / 4
CASES = {
    "cosface": (2, {"margin_m": 0.35}, AROUND_LIMIT, lambda t: math.cos(t) - 0.35),
    "multiplicative": (3, {"margin_m": 2.0}, AROUND_LIMIT, lambda t: math.cos(2 * t)),
    "arcface": (4, {}, AROUND_LIMIT, arcface),
    "easy arcface": (4, {"easy_margin": 1}, AROUND_LIMIT, easy_arcface),
    "combined": (
        5,
        {"margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15},
        AROUND_LIMIT,
        lambda t: math.cos(0.9 * t + 0.4) - 0.15,
    ),
    "combined, cosine alone": (
        5,
        {"margin_m": 0.0, "margin_b": 0.2},
        AROUND_LIMIT,
        lambda t: math.cos(t) - 0.2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_formula_and_slopes(
    case, build, run, at_angles, assert_slopes, cross_entropy, cosine_table
):
    loss_type, options, degrees, target = CASES[case]
    scale = 6.0
    x, weight, label = at_angles(degrees)

    def logits(x, weight):
        table = cosine_table(x, weight)
        for i, own in enumerate(label):
            table[i, own] = target(math.acos(table[i, own]))
        return scale * table

    loss = build(loss_type, 5, margin_s=scale, ce_loss=True, **options)
    result = run(loss, x, label, {"fc7_weight": weight})
    wanted = np.exp(logits(x, weight))
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.outputs["softmax"], wanted, rtol=1e-4)
    np.testing.assert_allclose(result.outputs["embedding"], x, rtol=1e-6)
    mean = cross_entropy(logits(x, weight), label)
    np.testing.assert_allclose(result.outputs["ce_loss"].mean(), mean, rtol=1e-5)
    assert_slopes(lambda x: cross_entropy(logits(x, weight), label), x, result.gradients["x"])
    assert_slopes(
        lambda w: cross_entropy(logits(x, w), label), weight, result.gradients["fc7_weight"]
    )


@pytest.mark.parametrize("margin", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["sphereface", "lsoftmax", "fnorm-sphereface"])
def test_multiple_angle(
    name, margin, build, run, at_angles, assert_slopes, cross_entropy, cosine_table
):
    beta = 1.5
    degrees = QUARTERS if margin != 3 else [3, 59, 61, 119, 121, 177]
    x, weight, label = at_angles(degrees)
    target = sphereface(margin, beta)
    options = {"margin_s": 6.0} if name == "fnorm-sphereface" else {}

    def logits(x, weight):
        table = cosine_table(x, weight)
        for i, own in enumerate(label):
            table[i, own] = target(math.acos(table[i, own]))
            for j in range(len(weight)):
                if name == "fnorm-sphereface":
                    table[i, j] *= 6.0
                else:
                    table[i, j] *= np.linalg.norm(x[i])
                if name == "lsoftmax":
                    table[i, j] *= np.linalg.norm(weight[j])
        return table

    loss = build(name, 5, margin=margin, **options)
    arrays = {"fc7_weight": weight, "beta": np.full(len(x), beta)}
    result = run(loss, x, label, arrays)
    wanted = np.exp(logits(x, weight))
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.outputs["softmax"], wanted, rtol=1e-4)
    assert_slopes(lambda x: cross_entropy(logits(x, weight), label), x, result.gradients["x"])
    assert_slopes(
        lambda w: cross_entropy(logits(x, w), label), weight, result.gradients["fc7_weight"]
    )


def test_cosface_without_scale_keeps_the_length(
    build, run, at_angles, assert_slopes, cross_entropy
):
    x, weight, label = at_angles([20, 60, 100])

    def logits(x):
        table = x @ (weight / np.linalg.norm(weight, axis=1, keepdims=True)).T
        for i, own in enumerate(label):
            table[i, own] -= 0.35 * np.linalg.norm(x[i])
        return table

    result = run(build(2, 5, margin_s=0.0, margin_m=0.35), x, label, {"fc7_weight": weight})
    assert_slopes(lambda x: cross_entropy(logits(x), label), x, result.gradients["x"])


def test_beta_schedule(build):
    loss = build(1, 100, beta_freeze=3)
    wanted = [1000.0] * 4 + [1000 * (1 + 0.12 * t) ** -1.0 for t in (1, 2, 3)]
    assert [loss.beta_at(step) for step in range(1, 8)] == pytest.approx(wanted)
    assert loss.beta_at(10**6) == 5.0
    assert build(1, 100).step_inputs(2) == (("beta", pytest.approx(1000 / 1.12)),)


def test_beta_schedule_of_many_identities(build):
    many = build(1, 20_001)
    assert many.beta_at(5001) == 1000.0
    assert many.beta_at(5003) == pytest.approx(1000 / (1 + 0.06 * 2))
    assert build(1, 20_000).beta_at(2) == pytest.approx(1000 / 1.12)
    assert build(1, 20_001, gamma=0.5).beta_at(2) == pytest.approx(1000 / 1.5)  # asked for


def test_arcface_comparison_is_strict(build):
    """At cos(theta) = cos(pi - m) exactly the tail applies: a jump from -1 down to c - m sin m."""
    limit = -mx.nd.cos(mx.nd.array([M]))  # as the graph computes it
    above = mx.nd.array([np.nextafter(limit.asscalar(), np.float32(1))])
    target = build(4, 5).target_cosine(mx.sym.Variable("cosine"), mx.sym.Variable("growth"))
    for cosine, wanted in ((limit, -math.cos(M) - M * math.sin(M)), (above, -1.0)):
        executor = target.bind(mx.cpu(), {"cosine": cosine, "growth": mx.nd.ones(1)})
        assert executor.forward()[0].asscalar() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(("loss_type", "second"), [(6, "intra_loss"), (7, "inter_loss")])
def test_intra_and_inter(
    loss_type, second, build, run, at_angles, assert_slopes, cross_entropy, cosine_table
):
    b, scale = 0.7, 6.0
    x, weight, label = at_angles(AROUND_LIMIT)

    def extra(x, weight):
        if second == "intra_loss":
            table = cosine_table(x, weight)
            angles = [math.acos(table[i, own]) / math.pi for i, own in enumerate(label)]
            return sum(angles) / len(label)
        between = cosine_table(weight, weight)
        return sum(between[own, j] for own in label for j in range(5)) / (len(label) * 5)

    def objective(x, weight):
        table = cosine_table(x, weight)
        for i, own in enumerate(label):
            table[i, own] = math.cos(math.acos(table[i, own]) + M)
        return cross_entropy(scale * table, label) + b * extra(x, weight)

    loss = build(loss_type, 5, margin_s=scale, margin_b=b)
    result = run(loss, x, label, {"fc7_weight": weight})
    np.testing.assert_allclose(result.outputs[second], [extra(x, weight)], rtol=1e-4)
    assert_slopes(lambda x: objective(x, weight), x, result.gradients["x"])
    assert_slopes(lambda w: objective(x, w), weight, result.gradients["fc7_weight"])


def test_subcenters_take_the_nearest(
    build, run, at_angles, assert_slopes, cross_entropy, cosine_table
):
    x, weight, label = at_angles([5, 40, 80, 120, 160, 175], num_classes=12)
    label = label // 3  # rows 0 1 2 belong to identity 0
    scale = 6.0

    def logits(x, weight):
        each = cosine_table(x, weight)
        table = np.array([[max(row[3 * j : 3 * j + 3]) for j in range(4)] for row in each])
        for i, own in enumerate(label):
            table[i, own] = arcface(math.acos(table[i, own]))
        return scale * table

    loss = build("subcenter-arcface", 4, margin_s=scale)
    result = run(loss, x, label, {"fc7_weight": weight})
    assert result.outputs["softmax"].shape == (6, 4)
    assert_slopes(lambda x: cross_entropy(logits(x, weight), label), x, result.gradients["x"])
    assert_slopes(
        lambda w: cross_entropy(logits(x, w), label), weight, result.gradients["fc7_weight"]
    )


HALVES = {
    "2": ({"margin_m": 0.35}, {"margin_m": 0.175}),
    "3": ({"margin_m": 2.0}, {"margin_m": 1.5}),
    "4": ({"margin_m": 0.5}, {"margin_m": 0.25}),
    "5": (
        {"margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.2},
        {"margin_a": 0.95, "margin_m": 0.2, "margin_b": 0.1},
    ),
    "6": ({"margin_b": 1.0, "margin_m": 0.5}, {"margin_b": 1.0, "margin_m": 0.25}),
    "7": ({"margin_b": 1.0, "margin_m": 0.5}, {"margin_b": 1.0, "margin_m": 0.25}),
    "circle": ({"margin_m": 0.25}, {"margin_m": 0.125}),
    "magface": (
        {"mag_min_margin": 0.4, "mag_max_margin": 0.8},
        {"mag_min_margin": 0.2, "mag_max_margin": 0.4},
    ),
    "adaface": ({"margin_m": 0.4}, {"margin_m": 0.2}),
    "curricularface": ({"margin_m": 0.5}, {"margin_m": 0.25}),
    "subcenter-arcface": ({"margin_m": 0.5}, {"margin_m": 0.25}),
}


@pytest.mark.parametrize("key", HALVES)
def test_margin_grows_with_warmup(key, build, run, at_angles):
    full, half = HALVES[key]
    loss = build(key, 5, margin_warmup=10, margin_s=6.0, **full)
    shares = [dict(loss.step_inputs(step))["margin_growth"] for step in (1, 6, 11, 500)]
    assert shares == [0.0, 0.5, 1.0, 1.0]
    x, weight, label = at_angles([20, 60, 100, 130, 160], lengths=[12.0, 40.0, 80.0, 99.0, 60.0])
    weight = np.repeat(weight, 3, axis=0) if key == "subcenter-arcface" else weight
    for share, options in ((0.5, half), (1.0, full)):
        arrays = {"fc7_weight": weight, "margin_growth": np.full(5, share)}
        grown = run(loss, x, label, arrays)
        fixed = run(build(key, 5, margin_s=6.0, **options), x, label, {"fc7_weight": weight})
        np.testing.assert_allclose(grown.outputs["softmax"], fixed.outputs["softmax"], rtol=1e-4)


# circle and curricularface weight the other classes from the first step on
@pytest.mark.parametrize("key", sorted(HALVES.keys() - {"circle", "curricularface"}))
def test_warmup_begins_without_margin(key, build, run, at_angles):
    x, weight, label = at_angles([20, 60, 100, 130, 160], lengths=[12.0, 40.0, 80.0, 99.0, 60.0])
    plain = run(build(2, 5, margin_s=6.0, margin_m=0.0), x, label, {"fc7_weight": weight})
    own = np.repeat(weight, 3, axis=0) if key == "subcenter-arcface" else weight
    arrays = {"fc7_weight": own, "margin_growth": np.zeros(5)}
    begun = run(build(key, 5, margin_warmup=9, margin_s=6.0, **HALVES[key][0]), x, label, arrays)
    np.testing.assert_allclose(begun.outputs["softmax"], plain.outputs["softmax"], rtol=1e-4)

"""Plain softmax, center loss and feature incay against loops."""

import numpy as np
import pytest


def affine(x, weight, bias):
    return np.array([[row @ own + b for own, b in zip(weight, bias, strict=True)] for row in x])


@pytest.mark.parametrize("no_bias", [False, True])
def test_softmax(no_bias, build, run, at_angles, assert_slopes, cross_entropy):
    x, weight, label = at_angles([20, 60, 100, 140])
    bias = np.zeros(5) if no_bias else np.linspace(-1, 1, 5)
    arrays = {"fc7_weight": weight} | ({} if no_bias else {"fc7_bias": bias})
    result = run(build(0, 5, fc7_no_bias=no_bias), x, label, arrays)
    assert ("fc7_bias" in result.gradients) is not no_bias
    assert_slopes(lambda x: cross_entropy(affine(x, weight, bias), label), x, result.gradients["x"])
    assert_slopes(
        lambda w: cross_entropy(affine(x, w, bias), label), weight, result.gradients["fc7_weight"]
    )


def test_incay_counts_the_correct_alone(build, run, at_angles, assert_slopes, cross_entropy):
    incay = 0.8
    x, weight, label = at_angles([5, 10, 15, 90, 175, 170])
    bias = np.zeros(5)
    is_correct = affine(x, weight, bias).argmax(axis=1) == label
    assert 0 < is_correct.sum() < len(x)

    def objective(x):
        second = sum(c / (row @ row) for c, row in zip(is_correct, x, strict=True)) / len(x)
        return cross_entropy(affine(x, weight, bias), label) + incay * second

    result = run(build(0, 5, incay=incay, fc7_no_bias=True), x, label, {"fc7_weight": weight})
    assert_slopes(objective, x, result.gradients["x"])


def test_center_loss(build, run, at_angles, assert_slopes, cross_entropy):
    alpha, scale = 0.5, 0.3
    x, weight, _ = at_angles([20, 60, 100, 140, 80, 30])
    label = np.array([0, 1, 1, 1, 3, 0])  # two identities more than once, two never
    centers = np.random.default_rng(1).normal(size=(5, 6))
    bias = np.zeros(5)

    def distance(x):
        return sum(
            (row - centers[own]) @ (row - centers[own]) for row, own in zip(x, label, strict=True)
        ) / (2 * len(x))

    result = run(
        build(8, 5, center_alpha=alpha, center_scale=scale),
        x,
        label,
        {"fc7_weight": weight, "fc7_bias": bias, "fc7_centers": centers},
    )
    np.testing.assert_allclose(result.outputs["center_loss"], [distance(x)], rtol=1e-5)
    assert_slopes(
        lambda x: cross_entropy(affine(x, weight, bias), label) + scale * distance(x),
        x,
        result.gradients["x"],
    )
    moved = centers.copy()
    for identity in range(5):
        own = [row - centers[identity] for row, y in zip(x, label, strict=True) if y == identity]
        moved[identity] += alpha * sum(own, np.zeros(6)) / (1 + len(own))
    np.testing.assert_allclose(result.states["fc7_centers"], moved, rtol=1e-5, atol=1e-6)
    assert (moved[2] == centers[2]).all()


def test_multipliers_stand_in_the_symbol(build):
    import mxnet as mx

    loss = build(0, 5, fc7_lr_mult=3.0, fc7_wd_mult=10.0)
    attributes = loss.symbol(mx.sym.Variable("x"), mx.sym.Variable("softmax_label")).attr_dict()
    weight, bias = attributes["fc7_weight"], attributes["fc7_bias"]
    assert (weight["__lr_mult__"], weight["__wd_mult__"]) == ("3.0", "10.0")
    assert (bias["__lr_mult__"], bias["__wd_mult__"]) == ("2.0", "0.0")

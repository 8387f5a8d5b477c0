"""Losses that must agree with each other, and the worked example of the ArcFace articles."""

import numpy as np
import pytest

ANGLES = [5, 40, 80, 100, 140]  # all below pi - 0.5


def same(run, x, label, weight, left, right, **arrays):
    one = run(left, x, label, {"fc7_weight": weight})
    other = run(right, x, label, {"fc7_weight": weight, **arrays})
    np.testing.assert_allclose(one.outputs["softmax"], other.outputs["softmax"], rtol=2e-5)
    for name in ("x", "fc7_weight"):
        np.testing.assert_allclose(one.gradients[name], other.gradients[name], rtol=1e-3, atol=1e-5)


def test_combined_is_arcface_below_the_branch(build, run, at_angles):
    x, weight, label = at_angles(ANGLES)
    same(run, x, label, weight, build(5, 5, margin_s=8.0), build(4, 5, margin_s=8.0))


def test_combined_is_not_arcface_past_the_branch(build, run, at_angles):
    x, weight, label = at_angles([160])
    one, other = (
        run(build(key, 5, margin_s=8.0), x, label, {"fc7_weight": weight}) for key in (4, 5)
    )
    assert np.abs(one.outputs["softmax"] - other.outputs["softmax"]).max() > 1e-6


def test_combined_is_cosface(build, run, at_angles):
    x, weight, label = at_angles([*ANGLES, 160, 179])
    combined = build(5, 5, margin_s=8.0, margin_m=0.0, margin_b=0.35)
    same(run, x, label, weight, combined, build(2, 5, margin_s=8.0, margin_m=0.35))


def test_sphereface_of_margin_1_is_softmax_of_unit_weights(build, run, at_angles):
    x, weight, label = at_angles([*ANGLES, 160, 179])
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    result = run(build(1, 5, margin=1), x, label, {"fc7_weight": weight})
    plain = run(build(0, 5, fc7_no_bias=True), x, label, {"fc7_weight": weight})
    np.testing.assert_allclose(result.outputs["softmax"], plain.outputs["softmax"], rtol=1e-4)
    np.testing.assert_allclose(result.gradients["x"], plain.gradients["x"], rtol=1e-3, atol=1e-6)


def test_sphereface_of_large_beta_has_no_margin(build, run, at_angles):
    x, weight, label = at_angles(ANGLES)
    many = {"beta": np.full(5, 1e9)}
    same(run, x, label, weight, build(2, 5, margin_s=0.0, margin_m=0.0), build(1, 5), **many)


def test_angular_triplet_is_triplet_on_angles(build, run):
    """relu(f(ap) - f(an) + margin) with f the angle in place of the squared distance."""
    x = np.random.default_rng(5).normal(size=(12, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    anchor, positive, negative = np.split(x, 3)
    near, far = ((anchor * other).sum(axis=1) for other in (positive, negative))
    label = np.zeros(12)
    for loss_type, options, measure in (
        (12, {"triplet_alpha": 0.4}, lambda cosine: 2 - 2 * cosine),
        (13, {"margin_m": 0.4}, np.arccos),
    ):
        result = run(build(loss_type, 9, per_batch_size=12, **options), x, label)
        wanted = np.maximum(measure(near) - measure(far) + 0.4, 0).mean()
        assert result.outputs["loss"][0] == pytest.approx(wanted, rel=1e-5)


def test_circle_is_its_pair_form(build, run, at_angles, cosine_table):
    """log(1 + sum_n exp(s a_n (c_n - m)) sum_p exp(-s a_p (c_p - 1 + m))), one p per sample."""
    s, m = 16.0, 0.25
    x, weight, label = at_angles([*ANGLES, 160])
    loss = build("circle", 5, margin_s=s, margin_m=m, ce_loss=True)
    result = run(loss, x, label, {"fc7_weight": weight})
    for row, own, got in zip(
        cosine_table(x, weight), label, result.outputs["ce_loss"], strict=True
    ):
        positive = np.exp(-s * max(1 + m - row[own], 0) * (row[own] - (1 - m)))
        negatives = [np.exp(s * max(c + m, 0) * (c - m)) for j, c in enumerate(row) if j != own]
        assert got == pytest.approx(np.log(1 + sum(negatives) * positive), rel=1e-4)


def test_one_subcenter_is_arcface(build, run, at_angles):
    x, weight, label = at_angles([*ANGLES, 160, 179])
    one = build("subcenter-arcface", 5, margin_s=8.0, subcenters=1)
    same(run, x, label, weight, one, build(4, 5, margin_s=8.0))


def test_magface_of_one_margin_is_arcface(build, run, at_angles):
    x, weight, label = at_angles([*ANGLES, 160])
    one = build("magface", 5, margin_s=8.0, mag_min_margin=0.5, mag_max_margin=0.5, mag_weight=0.0)
    same(run, x, label, weight, one, build(4, 5, margin_s=8.0))


def test_arcface_of_the_articles(build, run):
    """Two classes, s = 2, angles of 40 and 30 degrees, a margin of 20 degrees.

    Softmax of the bare cosines gives the first class p = 0.475; ArcFace's logits
    2 cos 60 and 2 cos 30 give 0.325; trained to angles of 20 and 50 degrees, 0.561.
    """

    def p_first(theta_1, theta_2, scale, margin):
        # in the plane: the sample at 0, the classes theta_1 to one side, theta_2 to the other
        angles = np.radians([theta_1, -theta_2])
        weight = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        loss = build(4, 2, margin_s=scale, margin_m=np.radians(margin))
        return run(loss, [[3.0, 0.0]], [0], {"fc7_weight": weight}).outputs["softmax"][0, 0]

    assert p_first(40, 30, 1.0, 0) == pytest.approx(0.475, abs=5e-4)
    assert p_first(40, 30, 2.0, 20) == pytest.approx(0.325, abs=5e-4)
    assert p_first(20, 50, 2.0, 20) == pytest.approx(0.561, abs=5e-4)

"""What losses report: the accuracy without margin, cross entropy, lines every n steps."""

import logging

from arcface_mxnet.losses.reports import AnglesEvery, DecilesEvery
import mxnet as mx
import numpy as np
import pytest


def test_free_accuracy_sees_no_margin(build, run, at_angles):
    x, weight, label = at_angles([5, 20, 40, 50, 175], num_classes=5)
    cosines = x @ weight.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(weight, axis=1))
    loss = build(4, 5, margin_m=1.5)
    result = run(loss, x, label, {"fc7_weight": weight})
    is_nearest = cosines.argmax(axis=1) == label
    np.testing.assert_array_equal(result.outputs["free_acc"], is_nearest)
    metric = loss.metric()
    named = {f"{name}_output": mx.nd.array(array) for name, array in result.outputs.items()}
    metric.update_dict({"softmax_label": mx.nd.array(label)}, named)
    values = dict(metric.get_name_value())
    assert values["free_acc"] == pytest.approx(is_nearest.mean())
    assert values["acc"] < values["free_acc"]


def test_cross_entropy_of_a_hopeless_sample_is_finite(build, run):
    loss = build(4, 2, ce_loss=True, margin_s=5000.0)
    x, weight = np.array([[-1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    result = run(loss, x, [0], {"fc7_weight": weight})
    assert result.outputs["softmax"][0, 0] == 0
    wanted = 5000 * (1 + 0.5 * np.sin(0.5))
    assert result.outputs["ce_loss"][0] == pytest.approx(wanted, rel=1e-5)


def feed(metric, *outputs, devices=1):
    for device in range(devices):
        arrays = [mx.nd.array(part, ctx=mx.cpu(device)) for part in outputs]
        metric.update([], arrays)


def test_a_line_every_third_step_over_all_devices(caplog):
    caplog.set_level(logging.INFO)
    metric = DecilesEvery(3, "target_probability")
    for step in range(1, 8):
        feed(metric, np.arange(10) / 10 + step, devices=2)
        metric.reset()  # the loop does so when it reports; the count goes on
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "target probability: lowest tenth 3.0000, highest tenth 3.9000",
        "target probability: lowest tenth 6.0000, highest tenth 6.9000",
    ]
    assert metric.get() == ([], [])


def test_angles_are_told_before_and_after_the_margin(caplog):
    caplog.set_level(logging.INFO)
    metric = AnglesEvery(1, "target_cosine", "margin_cosine")
    before, after = np.radians([20, 40]), np.radians([50, 70])
    feed(metric, np.cos(before), np.cos(after))
    feed(metric, np.cos(before), np.cos(after))
    assert "target angle 30.00 degrees, with margin 60.00" in caplog.text


def test_verbose_outputs(build, run, at_angles):
    x, weight, label = at_angles([20, 40])
    loss = build(4, 5, margin_verbose=1, logits_verbose=1)
    result = run(loss, x, label, {"fc7_weight": weight})
    degrees = np.degrees(np.arccos(result.outputs["target_cosine"]))
    np.testing.assert_allclose(degrees, [20, 40], rtol=1e-4)
    degrees = np.degrees(np.arccos(result.outputs["margin_cosine"]))
    np.testing.assert_allclose(degrees, [20 + np.degrees(0.5), 40 + np.degrees(0.5)], rtol=1e-4)
    own = result.outputs["softmax"][[0, 1], label]
    np.testing.assert_allclose(result.outputs["target_probability"], own, rtol=1e-5)

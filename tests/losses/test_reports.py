"""What losses report: the accuracy without margin, cross entropy, lines every n steps."""

import logging

from arcface_mxnet.losses.reports import AnglesEvery, DecilesEvery, Metrics, step_of
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


def feed(metric, step, *outputs, devices=1, batches=1):
    """Give the outputs of a step as the loop does."""
    with step_of(Metrics([metric]), step):
        for _ in range(batches):
            for device in range(devices):
                metric.update([], [mx.nd.array(part, ctx=mx.cpu(device)) for part in outputs])


LINES = [
    "target probability: lowest tenth 3.0000, highest tenth 3.9000",
    "target probability: lowest tenth 6.0000, highest tenth 6.9000",
]


@pytest.mark.parametrize(("devices", "batches"), [(1, 1), (2, 1), (1, 3), (2, 2)])
def test_a_line_every_third_step_over_all_devices_and_batches(caplog, devices, batches):
    caplog.set_level(logging.INFO)
    metric = DecilesEvery(3, "target_probability")
    for step in range(1, 7):
        feed(metric, step, np.arange(10) / 10 + step, devices=devices, batches=batches)
        metric.reset()  # the loop does so when it reports
    assert caplog.messages == LINES, "the last one at once"
    assert metric.get() == ([], [])


def test_the_lines_are_those_of_the_steps_after_a_resumption_too(caplog):
    caplog.set_level(logging.INFO)
    metric = DecilesEvery(3, "target_probability")
    for step in range(5, 8):
        feed(metric, step, np.arange(10) / 10 + step)
    assert caplog.messages == LINES[1:]


def test_a_line_counts_every_batch_of_its_step(caplog):
    caplog.set_level(logging.INFO)
    metric = DecilesEvery(1, "target_probability")
    with step_of(Metrics([metric]), 1):
        for value in (0.25, 0.75):
            metric.update([], [mx.nd.full((5,), value)])
    assert caplog.messages == ["target probability: lowest tenth 0.2500, highest tenth 0.7500"]


def test_angles_are_told_before_and_after_the_margin(caplog):
    caplog.set_level(logging.INFO)
    metric = AnglesEvery(1, "target_cosine", "margin_cosine")
    before, after = np.radians([20, 40]), np.radians([50, 70])
    feed(metric, 1, np.cos(before), np.cos(after))
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

"""The loss scale: the rule by itself, that it reaches every loss's gradient, and whole runs."""

import logging
import math

from arcface_mxnet.checkpoints.last_state import load_last
from arcface_mxnet.checkpoints.load import load_checkpoint
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import LOSSES, build_loss
from arcface_mxnet.losses.distill import Taught
from arcface_mxnet.training import loss_scale as module
from arcface_mxnet.training import plan as plan_module
from arcface_mxnet.training.loop import DivergedError, train
from arcface_mxnet.training.loss_scale import (
    LOSS_SCALE,
    LossScale,
    all_finite,
    scaled_gradient,
    scaled_parameters,
)
from arcface_mxnet.training.memory import estimate_memory
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.optimizer import SGD, AdamW
import mxnet as mx
import numpy as np
import pytest

CLASSES, FEATURES, SIZE, ROWS = 12, 10, 6, 12


def test_an_overflow_halves_and_many_good_steps_double(monkeypatch):
    monkeypatch.setattr(module, "GROW_AFTER", 3)
    scale = LossScale()
    assert scale.scale == 65536
    for is_finite, after in (
        (True, 65536), (True, 65536), (False, 32768), (True, 32768), (True, 32768),
        (True, 65536), (True, 65536), (False, 32768), (False, 16384),
    ):  # fmt: skip
        scale.take(is_finite)
        assert scale.scale == after


def test_it_stays_within_bounds(monkeypatch):
    monkeypatch.setattr(module, "GROW_AFTER", 1)
    scale = LossScale()
    for _ in range(40):
        scale.take(True)
    assert scale.scale == 2.0**24
    for _ in range(24):
        scale.take(False)
    assert scale.scale == 1
    with pytest.raises(DivergedError, match="step 65: the gradients overflow float16 at loss sc"):
        scale.take(False)


def test_it_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(module, "GROW_AFTER", 4)
    ways = np.random.default_rng(0).random(60) < 0.8
    whole, scales = LossScale(), []
    for is_finite in ways:
        whole.take(is_finite)
        scales.append(whole.scale)
    assert len(set(scales)) > 3
    for stop in range(len(ways)):
        first, second = LossScale(), LossScale()
        for is_finite in ways[:stop]:
            first.take(is_finite)
        second.restore(first.state())
        for is_finite, wanted in zip(ways[stop:], scales[stop:], strict=True):
            second.take(is_finite)
            assert second.scale == wanted
        assert second._steps == len(ways)


@pytest.mark.parametrize("state", [[], [0, 1, 2], [math.nan, 1, 2], [8, -1, 2], [[8, 1, 2]]])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match="loss_scale is"):
        LossScale().restore(np.array(state))


def test_what_is_said_of_a_step_that_is_skipped(caplog):
    caplog.set_level(logging.WARNING)
    scale = LossScale()
    scale.take(True)
    scale.take(False)
    assert caplog.messages == [
        "step 2: gradients overflowed at loss scale 65536; the step is skipped, the scale now 32768"
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_found_in_either_type(bad):
    good = [mx.nd.ones((3,), dtype=dtype) for dtype in ("float16", "float32", "float16")]
    assert all_finite(good)
    for place in range(3):
        arrays = [array.copy() for array in good]
        arrays[place][1] = bad
        assert not all_finite(arrays)
    assert not all_finite([mx.nd.full((1,), 60000, dtype="float16") * 2]), "beyond float16"


def embedding():
    net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=8, name="fc0")
    net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu0")
    net = mx.sym.FullyConnected(net, num_hidden=SIZE, name="pre_fc1")
    return mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")


def test_the_embedding_stays_what_it_is_and_its_gradient_does_not():
    values = np.random.RandomState(0).randn(3, 4).astype(np.float32) * [1e-20, 1, 1e3, 1e20]
    bound = scaled_gradient(mx.sym.Variable("x")).simple_bind(mx.cpu(), x=(3, 4))
    (out,) = bound.forward(is_train=True, x=mx.nd.array(values), loss_scale=mx.nd.full((1, 1), 512))
    np.testing.assert_array_equal(out.asnumpy(), values.astype(np.float32))
    bound.backward(mx.nd.array(values))
    np.testing.assert_array_equal(bound.grad_dict["x"].asnumpy(), values.astype("f4") * 512)


OPTIONS = {
    "3": {"margin_m": 2.0}, "6": {"margin_b": 0.1}, "7": {"margin_b": 0.1},
    "9": {"images_per_identity": 2}, "10": {"images_per_identity": 2},
}  # fmt: skip


def stepper_of(key, is_scaled, rule=None, **options):
    """Return a loss's step on a small network, drawn from a seed, and its inputs."""
    config = TrainConfig(per_batch_size=ROWS, loss_type=key, **OPTIONS.get(key, {}))
    loss = build_loss(key, config, CLASSES)
    net = scaled_gradient(embedding()) if is_scaled else embedding()
    if loss.needs_teacher:
        size = embedding().infer_shape(data=(ROWS, FEATURES))[1][0][1]
        loss = Taught(CLASSES, loss, "cosine", 4.0, size + 3, size)
    symbol = loss.symbol(net, mx.sym.Variable("softmax_label"))
    extra = loss.step_inputs(1)
    shapes = {"data": (ROWS, FEATURES), "softmax_label": (ROWS,)}
    shapes |= {name: (ROWS,) for name, _ in extra}
    beside = {name: (ROWS, *shape) for name, shape in loss.image_inputs().items()}
    shapes |= beside
    rng = np.random.RandomState(3)
    args, _, auxs = symbol.infer_shape(**shapes)

    def draw(names, sizes):
        return {
            name: mx.nd.array(rng.randn(*size) * 0.3 + (1 if name.endswith("gamma") else 0))
            for name, size in zip(names, sizes, strict=True)
            if name not in shapes and name != LOSS_SCALE
        }

    params = draw(symbol.list_arguments(), args)
    states = {n: v * 0 + 1 for n, v in draw(symbol.list_auxiliary_states(), auxs).items()}
    rule = rule or SGD(0.9, 0.0005, {})
    stepper = MxnetStepper(symbol, [mx.cpu()], shapes, params, states, rule, **options)
    inputs = {name: mx.nd.full((ROWS,), value) for name, value in extra}
    vectors = np.random.RandomState(7)
    inputs |= {name: mx.nd.array(vectors.randn(*shape)) for name, shape in beside.items()}
    inputs["softmax_label"] = mx.nd.array(np.repeat(np.arange(ROWS // 2), 2))
    return stepper, inputs


def trained(stepper, inputs, steps=3, batches=1):
    rng = np.random.RandomState(5)
    for step in range(steps):
        mx.random.seed(step)
        for _ in range(batches):
            data = mx.nd.array(rng.randn(ROWS, FEATURES) * 2)
            stepper.forward_backward(inputs | {"data": data})
        stepper.update(0.1)
    return {name: value.asnumpy() for name, value in stepper.params()[0].items()}


LOSS_KEYS = sorted({LOSSES.keys_of(LOSSES[key])[0] for key in LOSSES.names()})


@pytest.mark.parametrize("key", LOSS_KEYS)
def test_every_loss_is_scaled_and_the_update_is_the_same(key):
    """Whatever ignores the gradient it is given: the scale acts behind it."""
    plain, inputs = stepper_of(key, is_scaled=False)
    scaled, _ = stepper_of(key, is_scaled=True)
    for stepper in (plain, scaled):
        trained(stepper, inputs, steps=0)
        mx.random.seed(0)
        stepper.forward_backward(
            inputs | {"data": mx.nd.array(np.random.RandomState(1).randn(ROWS, FEATURES))}
        )
    gradients = [stepper._executors[0].grad_dict for stepper in (plain, scaled)]
    for name in plain.param_names:
        before, after = (each[name].asnumpy() for each in gradients)
        factor = 1 if name.startswith(("fc7", "teacher")) else 65536
        np.testing.assert_array_equal(after, before * np.float32(factor), err_msg=name)
    assert np.abs(gradients[0]["fc0_weight"].asnumpy()).max() > 0
    plain, inputs = stepper_of(key, is_scaled=False)
    scaled, _ = stepper_of(key, is_scaled=True)
    wanted, found = trained(plain, inputs), trained(scaled, inputs)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert scaled.loss_scale == 65536 and plain.loss_scale is None


def test_every_loss_is_there():
    assert len(LOSS_KEYS) == 22


@pytest.mark.parametrize("rule", [SGD(0.9, 0.01, {}, grad_clip=0.1), AdamW(0.1, {}, grad_clip=0.1)])
def test_clipped_or_accumulated_it_is_the_same_too(rule):
    plain, inputs = stepper_of("4", is_scaled=False, rule=rule, accumulate=2)
    scaled, _ = stepper_of("4", is_scaled=True, rule=rule, accumulate=2)
    wanted, found = (trained(stepper, inputs, batches=2) for stepper in (plain, scaled))
    del wanted["pre_fc1_bias"]  # in front of a BatchNorm: its gradient is rounding alone
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("rule", [SGD(0.9, 0.01, {}), AdamW(0.1, {})])
def test_a_step_that_overflows_changes_nothing_but_the_scale(rule, accumulate):
    stepper, inputs = stepper_of("4", is_scaled=True, rule=rule, accumulate=accumulate)
    trained(stepper, inputs, batches=accumulate)
    before, state = stepper.params()[0], stepper.state()
    stepper._scale.scale = 2.0**127 * 1.999
    trained(stepper, inputs, steps=1, batches=accumulate)
    assert stepper.loss_scale == 2.0**126 * 1.999
    del before["fc1_gamma"]  # fixed: every forward pass makes it 1
    for name, value in before.items():
        np.testing.assert_array_equal(stepper.params()[0][name].asnumpy(), value.asnumpy())
    after = stepper.state()
    for name in state.keys() - {LOSS_SCALE, *(n for n in state if n.startswith("aux"))}:
        np.testing.assert_array_equal(after[name].asnumpy(), state[name].asnumpy(), err_msg=name)
    stepper._scale.scale = 1.0
    follower, _ = stepper_of("4", is_scaled=True, rule=rule, accumulate=accumulate)
    follower._set_params(*stepper.params())
    follower.restore(stepper.state())
    assert follower.loss_scale == 1.0
    for each in (stepper, follower):
        trained(each, inputs, steps=1, batches=accumulate)
    for name, value in before.items():
        moved = stepper.params()[0][name].asnumpy()
        assert not np.array_equal(moved, value.asnumpy()), name
        np.testing.assert_array_equal(moved, follower.params()[0][name].asnumpy())


def test_float16_arrays_in_a_whole_step():
    """On a CPU float16 multiplies elementwise: enough for a weight that overflows."""
    data = mx.sym.Cast(mx.sym.Variable("data"), dtype="float16")
    weight = mx.sym.Variable("w", shape=(1, 2), dtype="float16")
    net = mx.sym.Cast(mx.sym.broadcast_mul(data, weight), dtype="float32")
    symbol = mx.sym.MakeLoss(mx.sym.sum(scaled_gradient(net)))
    stepper = MxnetStepper(
        symbol, [mx.cpu()], {"data": (1, 2)}, {"w": mx.nd.array([[1.0, 2.0]])}, {}, SGD(0, 0, {})
    )
    assert stepper._executors[0].arg_dict["w"].dtype == np.float16
    masters = []
    for _ in range(4):  # 3 * 65536 and 3 * 32768 are beyond float16, 3 * 16384 is not
        stepper.forward_backward({"data": mx.nd.array([[3.0, 1.0]])})
        stepper.update(0.001)
        masters.append(stepper.params()[0]["w"].asnumpy().ravel())
    assert stepper.loss_scale == 16384
    np.testing.assert_array_equal(masters[0], [1, 2])
    np.testing.assert_array_equal(masters[1], [1, 2])
    np.testing.assert_allclose(masters[2], [1 - 0.003, 2 - 0.001], rtol=1e-6)
    np.testing.assert_allclose(masters[3], [1 - 0.006, 2 - 0.002], rtol=1e-6)


@pytest.fixture
def as_if_half(options, monkeypatch):
    """Options of a run that goes every way of half precision, in float32 on the CPU."""
    monkeypatch.setattr(plan_module, "half_precision", scaled_gradient)
    monkeypatch.setattr(plan_module, "refuse_half_on_a_cpu", lambda devices: None)
    monkeypatch.setattr(module, "GROW_AFTER", 3)
    return options | {"dtype": "float16"}


def parameters(checkpoint):
    return {name: value.asnumpy() for name, value in load_checkpoint(checkpoint)[1].items()}


def test_a_whole_run_is_that_of_single_precision(as_if_half, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    half = train(TrainConfig(**as_if_half, max_steps=8)).checkpoint
    single = as_if_half | {"dtype": "float32", "prefix": str(tmp_path / "single")}
    found, wanted = (
        parameters(half),
        parameters(train(TrainConfig(**single, max_steps=8)).checkpoint),
    )
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-7, err_msg=name)
    assert "loss_scale 65536.00000" in caplog.text
    assert "loss_scale 262144.00000" in caplog.text, "it grows every third step"
    rows = (tmp_path / "out" / "model-metrics.csv").read_text()
    assert "loss_scale,262144.0" in rows
    assert LOSS_SCALE not in (tmp_path / "out" / "model-symbol.json").read_text()


def test_a_run_with_overflows_resumes_bit_for_bit(as_if_half, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "START", 2.0**127)
    monkeypatch.setattr(module, "LARGEST", 2.0**127)
    caplog.set_level(logging.WARNING)
    run = as_if_half | {"optimizer": "adamw", "verbose": 1, "target": ()}
    run |= {"lr": 0.001, "prefix": str(tmp_path / "whole" / "m")}
    whole = parameters(train(TrainConfig(**run, max_steps=12)).checkpoint)
    skipped = [text for text in caplog.messages if "overflowed at loss scale" in text]
    assert 2 <= len(skipped) < 10
    for stop in (1, 2, 7):
        part = run | {"prefix": str(tmp_path / str(stop) / "m")}
        train(TrainConfig(**part, max_steps=stop))
        caplog.clear()
        found = parameters(train(TrainConfig(**part, max_steps=12, resume=True)).checkpoint)
        again = [text for text in caplog.messages if "overflowed at loss scale" in text]
        assert again == [line for line in skipped if int(line.split()[1].rstrip(":")) > stop]
        for name, value in whole.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_last_state_without_a_scale_goes_on_from_the_first(as_if_half):
    done = train(TrainConfig(**as_if_half, max_steps=2))
    last = load_last(as_if_half["prefix"])
    assert last.state[LOSS_SCALE].asnumpy().tolist() == [65536, 2, 2]
    assert done.steps == 2
    stepper, _ = stepper_of("4", is_scaled=True)
    state = stepper.state()
    del state[LOSS_SCALE]
    stepper.restore(state)
    assert stepper.loss_scale == 65536


def test_what_overflows_at_every_scale_ends_the_run(as_if_half, monkeypatch):
    monkeypatch.setattr("arcface_mxnet.training.mxnet_stepper.all_finite", lambda arrays: False)
    with pytest.raises(DivergedError, match="step 17: the gradients overflow float16"):
        train(TrainConfig(**as_if_half | {"verbose": 100}, max_steps=100))


def test_two_devices_agree(as_if_half, tmp_path):
    run = as_if_half | {"verbose": 100, "prefix": str(tmp_path / "two" / "m")}
    ctx = [mx.cpu(0), mx.cpu(1)]
    found = parameters(train(TrainConfig(**run, max_steps=5), ctx).checkpoint)
    single = run | {"dtype": "float32", "prefix": str(tmp_path / "single" / "m")}
    wanted = parameters(train(TrainConfig(**single, max_steps=5), ctx).checkpoint)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-7, err_msg=name)


def test_verbose_lines_count_steps_under_accumulation(options, caplog):
    caplog.set_level(logging.INFO)
    run = options | {"margin_verbose": 2, "logits_verbose": 3, "accumulate": 3, "verbose": 100}
    train(TrainConfig(**run, max_steps=6))
    assert sum(text.startswith("target angle") for text in caplog.messages) == 3
    assert sum(text.startswith("target probability") for text in caplog.messages) == 2


def test_the_scale_is_no_weight(as_if_half):
    plan = plan_module.make_plan(TrainConfig(**as_if_half))
    single = plan_module.make_plan(TrainConfig(**as_if_half | {"dtype": "float32"}))
    assert estimate_memory(plan).weights == estimate_memory(single).weights
    symbol = plan.symbol
    assert LOSS_SCALE in symbol.list_arguments()
    assert scaled_parameters(symbol) >= {"conv0_weight", "pre_fc1_weight"}
    assert "fc7_weight" not in scaled_parameters(symbol)
    for name in ("START", "SMALLEST", "LARGEST"):
        assert math.log2(getattr(module, name)).is_integer()

"""AdamW against a loop from its paper; any optimizer's states are saved, resumed and told apart."""

import os
import signal

from arcface_mxnet.checkpoints.last_state import LastState, load_last, save_last
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.training.loop import train
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.optimizer import OPTIMIZERS, SGD, AdamW, make_optimizer
import mxnet as mx
import numpy as np
import pytest

SHAPES = {"fc7_weight": (4, 3), "fc7_bias": (4,), "bn_gamma": (5,)}
RATES = [0.01, 0.02, 0.005, 0.01, 0.003, 0.001]


def draw(seed):
    rng = np.random.RandomState(seed)
    return {name: rng.randn(*shape) for name, shape in SHAPES.items()}


def updated(rule, rates=RATES, rescale_grad=0.5, dtype="float32"):
    """Return the optimizer and the weights after an update with drawn gradients at each rate."""
    start = {name: mx.nd.array(array) for name, array in draw(0).items()}
    weights = {name: array.astype(dtype) for name, array in start.items()}
    gradients = {name: mx.nd.zeros(shape, dtype=dtype) for name, shape in SHAPES.items()}
    bound = rule.bound(weights, gradients, rescale_grad=rescale_grad)
    bound.set_masters(start)
    for seed, lr in enumerate(rates, start=1):
        for name, array in draw(seed).items():
            gradients[name][:] = array
        bound.update(lr)
    return bound, {name: array.asnumpy() for name, array in weights.items()}


def by_the_paper(rates=RATES, wd=0.1, beta1=0.9, beta2=0.999, epsilon=1e-8, clip=0.0, mult=None):
    """Algorithm 2 of arXiv 1711.05101 in float64."""
    weights = draw(0)
    mean = {name: 0 * array for name, array in weights.items()}
    var = {name: 0 * array for name, array in weights.items()}
    for t, lr in enumerate(rates, start=1):
        gradients = {name: 0.5 * array for name, array in draw(t).items()}
        if clip:
            norm = np.sqrt(sum((array**2).sum() for array in gradients.values()))
            gradients = {name: array * min(1, clip / norm) for name, array in gradients.items()}
        for name, gradient in gradients.items():
            lr_mult, wd_mult = (mult or {}).get(name, (1, 1))
            mean[name] = beta1 * mean[name] + (1 - beta1) * gradient
            var[name] = beta2 * var[name] + (1 - beta2) * gradient**2
            step = (mean[name] / (1 - beta1**t)) / (
                np.sqrt(var[name] / (1 - beta2**t)) + epsilon
            ) + wd * wd_mult * weights[name]
            weights[name] = weights[name] - lr * lr_mult * step
    return weights


def assert_near(left, right, tolerance=1e-6):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "options",
    [{}, {"wd": 0.0}, {"beta1": 0.5, "beta2": 0.9}, {"epsilon": 0.3}, {"beta1": 0.0}],
)
def test_adamw_is_that_of_the_paper(options):
    rule = AdamW(**{"wd": 0.1, "attributes": {}, **options})
    assert_near(updated(rule)[1], by_the_paper(**options))


def test_clipping_and_multipliers_are_those_of_sgd():
    attributes = {"fc7_weight": {"__lr_mult__": "2", "__wd_mult__": "3"}}
    rule = AdamW(0.1, attributes, apply_mult=True, grad_clip=0.4)
    mult = {"fc7_weight": (2, 3), "fc7_bias": (1, 0), "bn_gamma": (1, 1)}
    assert_near(updated(rule)[1], by_the_paper(clip=0.4, mult=mult))
    assert_near(updated(AdamW(0.1, attributes))[1], by_the_paper())


def test_adamw_is_that_of_torch():
    torch = pytest.importorskip("torch")
    weights = {
        name: torch.nn.Parameter(torch.tensor(array, dtype=torch.float32))
        for name, array in draw(0).items()
    }
    rule = torch.optim.AdamW(weights.values(), weight_decay=0.1)
    for seed, lr in enumerate(RATES, start=1):
        for name, array in draw(seed).items():
            weights[name].grad = torch.tensor(0.5 * array, dtype=torch.float32)
        rule.param_groups[0]["lr"] = lr
        rule.step()
    found = {name: array.detach().numpy() for name, array in weights.items()}
    assert_near(updated(AdamW(0.1, {}))[1], found)


def test_adamw_keeps_float32_weights_behind_half_ones():
    """Gradients are float16 here; 200 updates of 1e-5 would be lost in float16 weights."""
    rates = [1e-5] * 200
    bound, weights = updated(AdamW(0.1, {}), rates, dtype="float16")
    expected = by_the_paper(rates)
    for name, master in bound.masters.items():
        np.testing.assert_allclose(master.asnumpy(), expected[name], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(weights[name], master.asnumpy().astype(np.float16))
        assert np.abs(master.asnumpy() - draw(0)[name]).max() > 1e-4


def test_infinite_gradients_are_not_skipped_in_silence():
    bound, _ = updated(AdamW(0.1, {}, grad_clip=1.0), RATES[:1])
    bound._gradients["fc7_bias"][:] = np.inf
    bound.update(0.01)
    assert np.isnan(bound._weights["fc7_bias"].asnumpy()).all()


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_states_go_on_bit_for_bit(name):
    rule = make_optimizer(TrainConfig(optimizer=name), {})
    straight, expected = updated(rule)
    first, weights = updated(rule, RATES[:3])
    second = rule.bound(first._weights, first._gradients, rescale_grad=0.5)
    second.set_states(first.states)
    for seed, lr in enumerate(RATES[3:], start=4):
        for key, array in draw(seed).items():
            second._gradients[key][:] = array
        second.update(lr)
    for key in expected:
        np.testing.assert_array_equal(second._weights[key].asnumpy(), expected[key])
    for key, state in straight.states.items():
        np.testing.assert_array_equal(second.states[key].asnumpy(), state.asnumpy())


def test_states_have_names_of_their_own_and_others_are_refused():
    sgd, _ = updated(SGD(0.9, 0.1, {}))
    adamw, _ = updated(AdamW(0.1, {}))
    assert set(sgd.states) == {f"mom:{name}" for name in SHAPES}
    moments = {f"{moment}:{name}" for moment in ("mean", "var") for name in SHAPES}
    assert set(adamw.states) == moments | {"count:updates"}
    assert adamw.states["count:updates"].asscalar() == len(RATES)
    with pytest.raises(ValueError, match="not one of this --optimizer: it differs in"):
        adamw.set_states(sgd.states)


def test_options_arrive_and_those_of_others_are_refused():
    options = {"adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 1e-6, "wd": 0.05}
    rule = make_optimizer(TrainConfig(optimizer="adamw", grad_clip=2.0, **options), {})
    assert rule == AdamW(0.05, {}, False, 2.0, 0.8, 0.9, 1e-6)
    assert make_optimizer(TrainConfig(apply_mult=1), {}) == SGD(0.9, 0.0005, {}, True)
    with pytest.raises(ValueError, match=r"--mom 0\.5: --optimizer adamw does not use it"):
        make_optimizer(TrainConfig(optimizer="adamw", mom=0.5), {})
    with pytest.raises(ValueError, match=r"--adam-beta2 0\.9: --optimizer sgd does not use it"):
        make_optimizer(TrainConfig(adam_beta2=0.9), {})
    with pytest.raises(ValueError, match=r"'adam': unknown optimizer; .*did you mean adamw\?"):
        make_optimizer(TrainConfig(optimizer="adam"), {})


@pytest.mark.parametrize("schedule", ["cosine", "poly"])
def test_adamw_with_a_falling_rate_resumes_bit_for_bit(options, tmp_path, monkeypatch, schedule):
    run = options | {"optimizer": "adamw", "lr_schedule": schedule, "max_steps": 11}
    run |= {"lr_warmup": 2, "rand_shift": 2, "color": 1}
    straight = train(TrainConfig(**run | {"prefix": str(tmp_path / "straight")}))
    rates, update = [], MxnetStepper.update

    def counted(self, lr):
        update(self, lr)
        rates.append(lr)
        if len(rates) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(MxnetStepper, "update", counted)
    assert train(TrainConfig(**run)).stopped_by == "SIGTERM"
    assert train(TrainConfig(**run, resume=True)).steps == straight.steps == 11
    assert rates[:3] == pytest.approx([0.005, 0.01, 0.01])
    assert rates[2:] == sorted(rates[2:], reverse=True) and 0 < rates[-1] < 0.001
    left, right = load_last(str(tmp_path / "straight")), load_last(options["prefix"])
    assert left.record["position"] == right.record["position"]
    assert {"mean:fc7_weight", "var:fc7_weight", "count:updates"} <= left.state.keys()
    for part in ("arg_params", "aux_params", "state"):
        ones, others = getattr(left, part), getattr(right, part)
        assert ones.keys() == others.keys()
        for name, array in ones.items():
            np.testing.assert_array_equal(others[name].asnumpy(), array.asnumpy(), err_msg=name)


def test_another_optimizer_or_another_end_does_not_resume(options):
    run = options | {"optimizer": "adamw", "lr_schedule": "cosine", "max_steps": 4}
    train(TrainConfig(**run))
    with pytest.raises(ValueError, match="--optimizer: was adamw, now sgd"):
        train(TrainConfig(**run | {"optimizer": "sgd"}, resume=True))
    with pytest.raises(ValueError, match="--max-steps: was 4, now 8"):
        train(TrainConfig(**run | {"max_steps": 8}, resume=True))


def test_a_last_state_from_before_there_was_a_choice_goes_on_as_sgd(options):
    train(TrainConfig(**options, max_steps=2))
    last = load_last(options["prefix"])
    assert "mom:fc7_weight" in last.state
    young = {"optimizer", "lr_schedule", "lr_power", "adam_beta1", "adam_beta2", "adam_epsilon"}
    record = last.record | {
        "config": {k: v for k, v in last.record["config"].items() if k not in young}
    }
    save_last(options["prefix"], LastState(last.arg_params, last.aux_params, last.state, record))
    with pytest.raises(ValueError, match="--optimizer: was sgd, now adamw"):
        train(TrainConfig(**options, max_steps=4, optimizer="adamw", resume=True))
    assert train(TrainConfig(**options, max_steps=4, resume=True)).steps == 4

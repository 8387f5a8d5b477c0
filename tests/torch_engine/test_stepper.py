"""The step on PyTorch is MXNet's: weights, moments and statistics; saved, and gone on from."""

from arcface_mxnet.checkpoints.graph import parse_graph
from arcface_mxnet.config import TrainConfig
from arcface_mxnet.losses import build_loss
from arcface_mxnet.training.mxnet_stepper import MxnetStepper
from arcface_mxnet.training.optimizer import SGD, AdamW
import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.stepper import TorchStepper  # noqa: E402
from arcface_mxnet.training.divergence import DivergedError  # noqa: E402

from tests.torch_engine.three_runs import draw  # noqa: E402

ROWS, CLASSES, SIDE = 8, 5, 12
RULES = {
    "sgd": SGD(0.9, 0.01, {}),
    "plain": SGD(0.0, 0.01, {}),
    "adamw": AdamW(0.01, {}),
    "clipped": SGD(0.9, 0.01, {}, grad_clip=0.05),
    "multiplied": SGD(0.9, 0.01, {"fc7_weight": {"__lr_mult__": "3", "__wd_mult__": "2"}},
                      apply_mult=True),
}  # fmt: skip


def symbol_of(key="4", **options):
    net = mx.sym.Variable("data") * 0.01
    net = mx.sym.Convolution(net, num_filter=6, kernel=(3, 3), no_bias=True, name="conv0")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    net = mx.sym.LeakyReLU(net, act_type="leaky", name="relu0")
    net = mx.sym.FullyConnected(net, num_hidden=4, no_bias=True, name="pre_fc1")
    net = mx.sym.BatchNorm(net, fix_gamma=True, name="fc1")
    config = TrainConfig(loss_type=key, **({} if key == "8" else {"margin_s": 8.0}), **options)
    loss = build_loss(key, config, CLASSES)
    return loss.symbol(net, mx.sym.Variable("softmax_label"))


SHAPES = {"data": (ROWS, 3, SIDE, SIDE), "softmax_label": (ROWS,)}


def batch_of(seed):
    rng = np.random.RandomState(seed)
    return {
        "data": rng.randint(0, 256, SHAPES["data"]).astype(np.float32),
        "softmax_label": rng.randint(0, CLASSES, ROWS).astype(np.float32),
    }


def parameters(symbol):
    params, states = draw(symbol, SHAPES)
    return params, states


def torch_stepper(symbol, rule="sgd", params=None, **options):
    graph = parse_graph(symbol.tojson(), "the symbol")
    return TorchStepper(
        graph, "cpu", SHAPES, *(params or parameters(symbol)), RULES[rule], **options
    )


def mxnet_stepper(symbol, rule="sgd", params=None, **options):
    arrays = [
        {name: mx.nd.array(value) for name, value in part.items()}
        for part in params or parameters(symbol)
    ]
    stepper = MxnetStepper(symbol, [mx.cpu()], SHAPES, *arrays, RULES[rule], **options)
    stepper.join()
    return stepper


def run(stepper, seeds, batches=1):
    for seed in seeds:
        for part in range(batches):
            stepper.forward_backward(batch_of(10 * seed + part))
        stepper.update(0.1)
    return everything(stepper)


def everything(stepper):
    params, states = stepper.params()
    found = params | states | {f"state {k}": v for k, v in stepper.state().items()}
    return {k: v.asnumpy() if hasattr(v, "asnumpy") else v for k, v in found.items()}


def assert_close(left, right, tolerance=1e-5):
    assert left.keys() == right.keys()
    for name, value in right.items():
        np.testing.assert_allclose(
            left[name], value, rtol=tolerance, atol=tolerance * max(1, np.abs(value).max()),
            err_msg=name,
        )  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batches", [1, 2])
def test_three_updates_are_mxnets(rule, batches):
    symbol = symbol_of()
    steppers = [make(symbol, rule, accumulate=batches) for make in (torch_stepper, mxnet_stepper)]
    before = everything(steppers[0])
    found, wanted = (run(stepper, range(3), batches) for stepper in steppers)
    assert_close(found, wanted, 2e-5)
    assert all((found[name] != before[name]).any() for name in ("conv0_weight", "fc7_weight"))


@pytest.mark.parametrize("key", ["8", "adaface", "curricularface"])
def test_states_of_losses_move_as_mxnets(key):
    symbol = symbol_of(key)
    found, wanted = (run(make(symbol), range(3)) for make in (torch_stepper, mxnet_stepper))
    assert_close(found, wanted, 2e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("makers", [(torch_stepper, torch_stepper), (mxnet_stepper, torch_stepper),
                                    (torch_stepper, mxnet_stepper)])  # fmt: skip
def test_a_run_goes_on_on_either_engine(rule, makers):
    """State equal bit for bit after loading, the next step equal to 1e-5."""
    symbol = symbol_of()
    first = makers[0](symbol, rule)
    run(first, range(2))
    held = [{k: np.array(v.asnumpy() if hasattr(v, "asnumpy") else v) for k, v in part.items()}
            for part in (*first.params(), first.state())]  # fmt: skip
    second = makers[1](symbol, rule, params=held[:2])
    state = held[2]
    if makers[1] is mxnet_stepper:
        state = {k: mx.nd.array(v, dtype=v.dtype) for k, v in state.items()}
    second.restore(state)
    before, after = everything(first), everything(second)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.array_equal(after[name], value), name
        assert after[name].dtype == value.dtype and after[name].shape == value.shape
    assert_close(run(second, [7]), run(first, [7]))


def test_the_same_steps_twice_are_the_same_bits():
    symbol = symbol_of()
    one, other = (run(torch_stepper(symbol), range(3)) for _ in range(2))
    for name, value in one.items():
        assert np.array_equal(other[name], value), name


@pytest.mark.parametrize("missing", ["mom:conv0_weight", "aux0:bn0_moving_var"])
def test_a_state_with_something_missing_is_refused(missing):
    symbol = symbol_of()
    first = mxnet_stepper(symbol)
    run(first, range(1))
    state = first.state()
    del state[missing]
    with pytest.raises(ValueError, match=f"the last state .*differs in .*{missing}"):
        torch_stepper(symbol).restore(state)


def test_a_state_of_another_shape_is_refused():
    symbol = symbol_of()
    stepper = torch_stepper(symbol)
    state = stepper.state()
    state["mom:fc7_weight"] = np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match=r"mom:fc7_weight is \(2, 4\), not \(5, 4\)"):
        stepper.restore(state)


def test_a_symbol_with_two_data_inputs_is_refused():
    both = mx.sym.Group([symbol_of(), mx.sym.BlockGrad(mx.sym.Variable("data2"), name="more")])
    with pytest.raises(ValueError, match="reads 'data2', which is neither an input"):
        torch_stepper(both, params=parameters(symbol_of()))


def test_an_output_that_is_no_loss_is_refused():
    symbol = symbol_of()
    stepper = torch_stepper(mx.sym.Group([symbol, symbol.get_internals()["fc7_output"]]))
    with pytest.raises(ValueError, match="output 'fc7_output' of the symbol is no loss"):
        stepper.forward_backward(batch_of(0))


def test_the_first_bad_output_and_parameter_are_named():
    stepper = torch_stepper(symbol_of())
    stepper.forward_backward(batch_of(0))
    assert stepper.first_bad_output() is None and stepper.first_bad_parameter() is None
    bad = batch_of(0)
    bad["data"][2, 1] = np.nan
    stepper.forward_backward(bad)
    assert stepper.first_bad_output() == "embedding_output"
    stepper.update(0.1)
    assert stepper.first_bad_parameter() == "conv0_weight"


def test_rewinding_undoes_the_passes_since_the_last_step():
    symbol = symbol_of()
    straight, cut = torch_stepper(symbol), torch_stepper(symbol)
    for stepper in (straight, cut):
        run(stepper, [1])
    cut.remember()
    before = everything(cut)
    cut.forward_backward(batch_of(2))
    assert any((value != before[name]).any() for name, value in everything(cut).items())
    cut.rewind()
    for name, value in everything(cut).items():
        assert np.array_equal(value, before[name]), name


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near_and_its_weights_are_float32(dtype):
    symbol = symbol_of()
    single, half = torch_stepper(symbol), torch_stepper(symbol, dtype=dtype)
    if half.loss_scale:
        half._scale.scale = 64.0  # of these losses the default makes the gradients overflow
    wanted, found = run(single, range(2)), run(half, range(2))
    for name in ("conv0_weight", "fc7_weight", "bn0_moving_mean"):
        assert found[name].dtype == np.float32
        apart = np.linalg.norm(found[name] - wanted[name]) / np.linalg.norm(wanted[name])
        assert 0 < apart < 0.05, (name, apart)
    assert half.outputs()[0][0].tensor.dtype == torch.float32
    assert half.loss_scale == (64 if dtype == "float16" else None)


def test_an_overflow_in_the_first_step_skips_it_and_halves_the_scale(caplog):
    symbol = symbol_of()
    stepper = torch_stepper(symbol, dtype="float16")
    params, _ = parameters(symbol)
    stepper._scale.scale = 2.0**40
    stepper.forward_backward(batch_of(0))
    stepper.update(0.1)
    assert "step 1: gradients overflowed" in caplog.text
    assert stepper.loss_scale == 2.0**39
    for name, value in stepper.params()[0].items():
        assert np.array_equal(value, params[name]) or name == "fc1_gamma", name
    again = torch_stepper(symbol, dtype="float16")
    again.restore(stepper.state())
    assert again.loss_scale == 2.0**39
    stepper._scale.scale = 1.0
    bad = batch_of(0)
    bad["data"][:] = 1e30
    stepper.forward_backward(bad)
    with pytest.raises(DivergedError, match="overflow float16 at loss scale 1 too"):
        stepper.update(0.1)


def test_the_loss_scale_changes_no_update():
    symbol = symbol_of()
    found = []
    for scale in (1.0, 1024.0):
        stepper = torch_stepper(symbol, "clipped", dtype="float16")
        stepper._scale.scale = scale
        found.append(run(stepper, range(2)))
    for name in ("conv0_weight", "fc7_weight", "fc1_beta"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=2e-2, atol=2e-4)


def test_a_compiled_step_is_the_same(monkeypatch):
    """Traced as for the compiler, which takes minutes, and run by torch itself."""
    whole, calls = torch.compile, []

    def traced(program, **options):
        calls.append(options)
        return whole(program, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", traced)
    symbol = symbol_of("adaface")
    assert_close(
        run(torch_stepper(symbol, compiled=True), range(2)), run(torch_stepper(symbol), range(2))
    )
    assert calls == [{"dynamic": False}]

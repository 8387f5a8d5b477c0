"""The length of gradients together: mixed types, squares that float16 and float32 cannot hold."""

from arcface_mxnet.training.clipping import joint_norm
from arcface_mxnet.training.optimizer import SGD
import mxnet as mx
import numpy as np
import pytest


def arrays(*pairs):
    return [mx.nd.array(values, dtype=dtype) for values, dtype in pairs]


@pytest.mark.parametrize(
    ("given", "norm"),
    [
        ([([3.0, 4.0], "float32")], 5.0),
        ([([3.0], "float16"), ([4.0], "float32")], 5.0),
        ([([3.0], "float32"), ([4.0], "float16"), ([12.0], "float16")], 13.0),
        ([([300.0, 400.0], "float16")], 500.0),  # squares that no float16 holds
        ([([60000.0], "float16"), ([80000.0], "float32")], 100000.0),
        ([([3e30, 4e30], "float32")], 5e30),  # nor float32
        ([([3e30], "float32"), ([5.0], "float16")], 3e30),
        ([([0.0], "float16"), ([0.0], "float32")], 0.0),
        ([([np.inf], "float16"), ([1.0], "float32")], np.inf),
        ([([1.0], "float16"), ([-np.inf], "float32")], np.inf),
        ([], 0.0),
    ],
)
def test_by_hand(given, norm):
    assert joint_norm(arrays(*given)) == pytest.approx(norm, rel=1e-6)


def test_nan_is_no_length():
    assert np.isnan(joint_norm(arrays(([1.0, np.nan], "float32"), ([1.0], "float16"))))


def test_many_of_both_types():
    rng = np.random.default_rng(0)
    values = [(rng.normal(size=size) * 500).astype(t) for size in (7, 300) for t in ("f2", "f4")]
    wanted = np.sqrt(sum((value.astype(float) ** 2).sum() for value in values))
    given = [mx.nd.array(value, dtype=value.dtype) for value in values]
    assert joint_norm(given) == pytest.approx(wanted, rel=1e-5)


def test_no_float16_is_squared_as_such(monkeypatch):
    """On a CPU MXNet squares it as float32 anyway; which it does elsewhere is not relied on."""
    squared = []
    multi_sum_sq = mx.nd.multi_sum_sq

    def spy(*given, **options):
        squared.extend(array.dtype for array in given)
        return multi_sum_sq(*given, **options)

    monkeypatch.setattr(mx.nd, "multi_sum_sq", spy)
    assert joint_norm(arrays(([3.0], "float16"), ([4.0], "float32"))) == 5
    assert squared == [np.float32, np.float32]


def updated(weights, gradients, clip, scale=1.0, scaled=frozenset(), rescale=1.0):
    """Return how far each weight, in float32, moves in one step of rate 1."""
    weights = {n: mx.nd.array(w, dtype=w.dtype) for n, w in weights.items()}
    gradients = {n: mx.nd.array(g, dtype=g.dtype) for n, g in gradients.items()}
    rule = SGD(0.0, 0.0, {}, grad_clip=clip)
    bound = rule.bound(weights, gradients, rescale_grad=rescale, scaled=scaled)
    before = {n: (bound.masters | weights)[n].asnumpy() for n in weights} if weights else {}
    for name in bound.masters:
        before[name] = bound.masters[name].asnumpy()
    bound.update(1.0, scale)
    after = {n: (weights | bound.masters)[n].asnumpy() for n in weights}
    return {n: before[n] - after[n] for n in weights}


def test_mixed_gradients_are_clipped_to_the_length_asked_for():
    """The standstill of float16: a length of 500 is infinite if squared in float16."""
    weights = {"half": np.zeros(2, "float16"), "single": np.zeros(1, "float32")}
    gradients = {"half": np.array([300, 400], "float16"), "single": np.array([1200], "float32")}
    moved = updated(weights, gradients, clip=13.0)
    np.testing.assert_allclose(moved["half"], [3, 4], rtol=1e-5)
    np.testing.assert_allclose(moved["single"], [12], rtol=1e-5)
    alone = updated({"half": weights["half"]}, {"half": gradients["half"]}, clip=5.0)
    np.testing.assert_allclose(alone["half"], [3, 4], rtol=1e-5)


def test_large_float32_gradients_do_not_stand_still():
    moved = updated({"w": np.zeros(2, "float32")}, {"w": np.array([3e25, 4e25], "f4")}, clip=5.0)
    np.testing.assert_allclose(moved["w"], [3, 4], rtol=1e-5)


@pytest.mark.parametrize("clip", [0.0, 13.0, 1e9])
@pytest.mark.parametrize("rescale", [1.0, 0.25])
def test_the_loss_scale_is_taken_out_before_the_length_is_measured(clip, rescale):
    """Only the network's gradients carry it; the classifier's do not."""
    weights = {"half": np.zeros(2, "float16"), "single": np.zeros(1, "float32")}
    half = np.array([300, 400], "float16")
    single = np.array([1200], "float32")
    wanted = updated(weights, {"half": half, "single": single}, clip, rescale=rescale)
    scale = 2.0**6
    moved = updated(
        weights, {"half": half * np.float16(scale), "single": single}, clip, scale,
        frozenset({"half"}), rescale,
    )  # fmt: skip
    for name, value in wanted.items():
        np.testing.assert_array_equal(moved[name], value)

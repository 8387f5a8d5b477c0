"""Neither NaN nor Inf, in value or slope, where cosines stand at or past their ends."""

from arcface_mxnet.losses import LOSSES
from arcface_mxnet.losses.margin import CosineSoftmax, Parts
import mxnet as mx
import numpy as np
import pytest

ENDS = [-1 - 1e-6, -1.0, -1 + 1e-6, 0.0, 1 - 1e-6, 1.0, 1 + 1e-6]
OPTIONS = {"3": {"margin_m": 2.0}, "6": {"margin_b": 0.5}, "7": {"margin_b": 0.5}}
ONE_KEY_EACH = {LOSSES[key]: key for key in reversed(LOSSES.names())}
COSINE_KEYS = sorted(key for loss, key in ONE_KEY_EACH.items() if issubclass(loss, CosineSoftmax))
EASY_KEYS = [key for key in COSINE_KEYS if "easy_margin" in LOSSES[key].__dataclass_fields__]


@pytest.mark.parametrize(
    ("key", "more"),
    [*((key, {}) for key in COSINE_KEYS), *((key, {"easy_margin": 1}) for key in EASY_KEYS)],
)
def test_given_cosines(key, more, build):
    """The margin, given cosines that no pair of vectors would hit exactly."""
    loss = build(key, 3, **OPTIONS.get(key, {}), **more)
    cosines, label = mx.sym.Variable("cosines"), mx.sym.Variable("label")
    parts = Parts(
        embedding=mx.sym.Variable("embedding"),
        label=label,
        weight=mx.sym.Variable("weight"),
        cosines=cosines,
        cosine=mx.sym.pick(cosines, label, axis=1),
        num_classes=3,
    )
    changed = loss.changed_cosines(parts)
    outputs = mx.sym.Group(
        [mx.sym.MakeLoss(mx.sym.sum(changed)), *loss.extra_losses(parts, changed)]
    )
    n = len(ENDS)
    shapes = dict.fromkeys(outputs.list_arguments(), (n,))  # label, beta
    wide = {"cosines": (n, 3), "embedding": (n, 4), "weight": (3, 4)}
    shapes |= {name: shape for name, shape in wide.items() if name in shapes}
    executor = outputs.simple_bind(mx.cpu(), **shapes)
    for array in executor.arg_dict.values():
        array[:] = 1.0
    executor.arg_dict["cosines"][:] = np.stack([ENDS, ENDS, [0.1] * n], axis=1)
    executor.arg_dict["label"][:] = 0
    executor.forward(is_train=True)
    executor.backward()
    assert np.float32(1 + 1e-6) > 1  # the value survives float32
    for array in [*executor.outputs, *executor.grad_dict.values()]:
        assert np.isfinite(array.asnumpy()).all()
    assert np.abs(executor.grad_dict["cosines"].asnumpy()).max() < 1e6


@pytest.mark.parametrize("key", COSINE_KEYS)
def test_embeddings_along_against_and_across_their_class(key, build, run):
    weight = np.diag([0.3, 1.0, 2.0, 1e-3])
    x = np.concatenate([weight, -weight, np.roll(weight, 1, axis=0), np.zeros((4, 4))])
    label = np.tile([0, 1, 2, 3], 4)
    result = run(build(key, 4, **OPTIONS.get(key, {})), x, label, fitting(key, weight))
    for array in [*result.outputs.values(), *result.gradients.values(), *result.states.values()]:
        assert np.isfinite(array).all()


def fitting(key, weight):
    if key == "subcenter-arcface":
        return {"fc7_weight": np.repeat(weight, 3, axis=0)}  # three equal centres: ties
    return {"fc7_weight": weight}


@pytest.mark.parametrize("key", ["9", "10", "11", "12", "13"])
def test_equal_opposite_and_empty_embeddings(key, build, run):
    each = {"9": 4, "10": 4}.get(key, 0)
    loss = build(key, 10, per_batch_size=12, images_per_identity=each)
    one = np.array([1.0, 2.0, -1.0])
    for x in ([one] * 12, [one, -one] * 6, [0 * one] * 12):
        result = run(loss, np.array(x), np.repeat([0, 1, 2], 4))
        for array in [*result.outputs.values(), result.gradients["x"]]:
            assert np.isfinite(array).all()


def test_both_cosine_and_batch_losses_were_swept():
    assert len(COSINE_KEYS) == 14
    assert EASY_KEYS == ["4", "subcenter-arcface"]
    assert len(ONE_KEY_EACH) == 14 + 2 + 5 + 1  # and softmax, center; 9 to 13; none

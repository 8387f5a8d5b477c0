"""Every registered loss builds, binds on two devices, trains a step and comes back from JSON."""

from arcface_mxnet.losses import LOSSES, Loss
from arcface_mxnet.losses.distill import Taught
import mxnet as mx
import numpy as np
import pytest

BY_NUMBER = [str(number) for number in range(14)]
BY_NAME = {
    "softmax", "sphereface", "cosface", "amsoftmax", "multiplicative", "arcface", "combined",
    "arcface-intra", "arcface-inter", "center", "coco", "marginal", "npair", "triplet", "atriplet",
    "lsoftmax", "fnorm-sphereface", "circle", "magface", "adaface", "curricularface",
    "subcenter-arcface", "none",
}  # fmt: skip
OPTIONS = {
    "3": {"margin_m": 2.0},
    "6": {"margin_b": 0.5},
    "7": {"margin_b": 0.5},
    "9": {"images_per_identity": 4},
    "10": {"images_per_identity": 4},
    "circle": {"margin_m": 0.25, "margin_s": 256.0},
}
ONE_KEY_EACH = list({LOSSES[key]: key for key in reversed(LOSSES.names())}.values())


def test_names():
    assert set(LOSSES.names()) == set(BY_NUMBER) | BY_NAME
    unnumbered = {key for key in BY_NAME if not set(LOSSES.keys_of(LOSSES[key])) & set(BY_NUMBER)}
    assert len(ONE_KEY_EACH) == len(BY_NUMBER) + len(unnumbered)
    assert {"circle", "adaface"} < unnumbered
    assert LOSSES["2"] is LOSSES["cosface"] is LOSSES["amsoftmax"]
    for number, name in zip(BY_NUMBER, (
        "softmax", "sphereface", "cosface", "multiplicative", "arcface", "combined",
        "arcface-intra", "arcface-inter", "center", "coco", "marginal", "npair", "triplet",
        "atriplet",
    ), strict=True):  # fmt: skip
        assert LOSSES[number] is LOSSES[name]


@pytest.mark.parametrize("key", ONE_KEY_EACH)
def test_trains_on_two_devices(key, build):
    loss = build(key, 7, per_batch_size=12, **OPTIONS.get(key, {}))
    if loss.needs_teacher:
        loss = Taught(7, loss, "cosine", 2.0, 5, 4)
    assert isinstance(loss, Loss)
    embedding = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=4, name="fc1")
    symbol = loss.symbol(embedding, mx.sym.Variable("softmax_label"))
    symbol = mx.sym.load_json(symbol.tojson())  # as a checkpoint keeps it
    inputs = loss.step_inputs(1)
    beside = loss.image_inputs()
    module = mx.mod.Module(
        symbol,
        data_names=["data", *(name for name, _ in inputs), *beside],
        context=[mx.cpu(0), mx.cpu(1)],
    )
    module.bind(
        [
            ("data", (24, 6)),
            *((name, (24,)) for name, _ in inputs),
            *((name, (24, *shape)) for name, shape in beside.items()),
        ],
        [("softmax_label", (24,))],
    )
    mx.random.seed(1)
    module.init_params(mx.init.Xavier())
    module.init_optimizer(optimizer_params={"learning_rate": 0.1})
    before, _ = module.get_params()
    before = {name: array.asnumpy() for name, array in before.items()}
    rng = np.random.default_rng(2)
    data, label = mx.nd.array(rng.normal(size=(24, 6))), mx.nd.array(np.arange(24) // 4)
    metric = loss.metric()
    for step in (1, 2):
        values = [mx.nd.full((24,), value) for _, value in loss.step_inputs(step)]
        values += [mx.nd.array(rng.normal(size=(24, *shape))) for shape in beside.values()]
        module.forward_backward(mx.io.DataBatch([data, *values], [label]))
        module.update_metric(metric, [label])
        module.update()
    outputs = dict(zip(symbol.list_outputs(), module.get_outputs(), strict=True))
    assert all(np.isfinite(output.asnumpy()).all() for output in outputs.values())
    assert symbol.list_outputs()[0] == "embedding_output"
    assert outputs["embedding_output"].shape == (24, 4)
    second = symbol.list_outputs()[1]
    firsts = {"softmax_output": "acc", "loss_output": "lossvalue", "label_output": "teacher_cosine"}
    if second == "softmax_output":
        assert outputs[second].shape == (24, 7)
        np.testing.assert_allclose(outputs[second].asnumpy().sum(axis=1), 1, rtol=1e-5)
    names, values = zip(*metric.get_name_value(), strict=True)
    assert names[0] == firsts[second]
    assert np.isfinite(values).all()
    after, states = module.get_params()
    for name, array in after.items():
        assert np.abs(array.asnumpy() - before[name]).max() > 0, f"{name} did not learn"
    assert all((array.asnumpy() != 0).any() for array in states.values())


@pytest.mark.parametrize("key", ONE_KEY_EACH)
def test_milestones(key, build):
    early = {"0", "8", "9", "10", "11", "12", "13", "none"}
    loss = build(key, 7, per_batch_size=12, **OPTIONS.get(key, {}))
    first = loss.base_milestones[0]
    assert first == (40_000 if key in early else 100_000)

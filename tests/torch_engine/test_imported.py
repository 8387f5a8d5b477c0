"""What the import of foreign networks writes computes and learns on PyTorch as on MXNet."""

import mxnet as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from arcface_mxnet.checkpoints.graph import to_json  # noqa: E402
from arcface_mxnet.importing.from_onnx import import_onnx  # noqa: E402

from tests.importing.foreign import SIZE, model  # noqa: E402
from tests.importing.test_onnx_operators import TAKEN, onnx_model  # noqa: E402
from tests.torch_engine.three_runs import on_mxnet, on_torch  # noqa: E402

CASES = {case: onnx_model(*made) for case, made in TAKEN.items()} | {"a network": model()}
del CASES["Pow"]  # of a Relu's zeros, where MXNet's gradient is NaN and torch's is 0
IMAGES = np.random.RandomState(3).randint(0, 256, (4, 3, *SIZE)).astype(np.float32)
PREPROCESSING = {"color": "rgb", "mean": (127.5,), "scale": (100.0,)}


@pytest.mark.parametrize("case", CASES)
def test_outputs_gradients_and_statistics_are_mxnets(case):
    stored = import_onnx(CASES[case].SerializeToString(), "m.onnx", **PREPROCESSING).network
    network = mx.sym.load_json(to_json(stored.graph))
    # A parameter over the images shows what comes back to them.
    moved = mx.sym.Variable("image") + 0
    moved = mx.sym.broadcast_add(moved, mx.sym.Variable("moved", shape=(1, 3, *SIZE)))
    fc1 = network(data=moved)
    (shape,) = fc1.infer_shape(image=IMAGES.shape)[1]
    drawn = np.random.RandomState(5).randn(*shape).astype(np.float32)
    loss = mx.sym.MakeLoss(mx.sym.sum(fc1 * mx.sym.Variable("drawn")))
    symbol = mx.sym.Group([loss, mx.sym.BlockGrad(fc1)])
    read = stored.parameters | {"moved": np.zeros((1, 3, *SIZE), np.float32)}
    states = {name: read[name] for name in symbol.list_auxiliary_states()}
    inputs = {"image": IMAGES, "drawn": drawn}
    params = {name: read[name] for name in symbol.list_arguments() if name not in inputs}
    wanted = on_mxnet(symbol, inputs, params, states, fast=True)
    found = on_torch(symbol, inputs, params, states)
    for one in (found, wanted):
        del one.outputs[loss.list_outputs()[0]]  # a sum in which much cancels
    for part in ("outputs", "gradients", "statistics"):
        for one, other in zip(
            getattr(found, part).values(), getattr(wanted, part).values(), strict=True
        ):
            scale = max(1e-3, float(np.abs(other).max()))
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * scale, err_msg=part)
    assert np.abs(wanted.gradients["moved"]).max() > 1e-5


def test_one_slope_behind_a_norm_is_shared_by_the_channels():
    net = mx.sym.BatchNorm(mx.sym.Variable("image"), fix_gamma=False, name="norm")
    net = mx.sym.LeakyReLU(net, mx.sym.Variable("slope", shape=(1,)), act_type="prelu")
    symbol = mx.sym.MakeLoss(net * mx.sym.Variable("drawn"))
    rng = np.random.RandomState(0)
    inputs = {"image": IMAGES, "drawn": rng.randn(*IMAGES.shape).astype(np.float32)}
    params = {"norm_gamma": [1, 0.5, 2], "norm_beta": [0.1, -0.2, 0.3], "slope": [0.2]}
    states = {"norm_moving_mean": [0] * 3, "norm_moving_var": [1] * 3}
    given = ({k: np.array(v, np.float32) for k, v in one.items()} for one in (params, states))
    params, states = given
    wanted = on_mxnet(symbol, inputs, params, states, fast=True)
    found = on_torch(symbol, inputs, params, states)
    assert wanted.gradients["slope"].shape == (1,)
    for name, value in wanted.gradients.items():
        np.testing.assert_allclose(found.gradients[name], value, rtol=1e-4, atol=1e-3)

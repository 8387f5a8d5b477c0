"""Half-precision checkpoints of others, with casts inside the symbol, embed in float32."""

from arcface_mxnet.checkpoints.load import save_checkpoint
from arcface_mxnet.embedder import Embedder
import mxnet as mx
import numpy as np
import pytest

SIZE = (12, 10)


def network(*, is_half):
    """Return a small network; in half precision everything between two casts is float16."""
    body = (mx.sym.var("data") - 127.5) * 0.0078125
    body = mx.sym.Cast(body, dtype="float16") if is_half else body
    body = mx.sym.Convolution(body, kernel=(3, 3), num_filter=4, name="conv0")
    body = mx.sym.BatchNorm(body, fix_gamma=False, name="bn0")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name="relu0")
    body = mx.sym.FullyConnected(body, num_hidden=8, name="pre_fc1")
    body = mx.sym.Cast(body, dtype="float32") if is_half else body
    return mx.sym.BatchNorm(body, fix_gamma=True, name="fc1")


@pytest.fixture
def checkpoints(tmp_path):
    """Return two checkpoints of the same values: float32, and float16 with casts."""
    symbol = network(is_half=False)
    shapes, _, aux_shapes = symbol.infer_shape(data=(1, 3, *SIZE))
    rng = np.random.default_rng(0)
    args = {
        name: rng.normal(size=shape).astype(np.float16)
        for name, shape in zip(symbol.list_arguments(), shapes, strict=True)
        if name != "data"
    }
    aux = {
        name: (rng.random(shape) + 0.5).astype(np.float16)
        for name, shape in zip(symbol.list_auxiliary_states(), aux_shapes, strict=True)
    }
    for name, dtype in (("single", np.float32), ("half", np.float16)):
        arrays = [
            {key: mx.nd.array(value, dtype=dtype) for key, value in part.items()}
            for part in (args, aux)
        ]
        save_checkpoint(str(tmp_path / name), 0, network(is_half=name == "half"), *arrays)
    return f"{tmp_path}/single,0", f"{tmp_path}/half,0"


@pytest.mark.parametrize("engine", ["onnxruntime", "mxnet"])
def test_both_engines_drop_the_casts(checkpoints, engine):
    crops = np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)
    single, half = (Embedder(name, engine=engine)(crops) for name in checkpoints)
    np.testing.assert_allclose(half, single, atol=1e-5)
    assert np.abs(np.linalg.norm(half, axis=1) - 1).max() < 1e-5

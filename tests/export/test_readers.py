"""What others read an export with gives what MXNet gives: OpenCV, onnxruntime, OpenVINO."""

from arcface_mxnet.checkpoints.network import read_network
from arcface_mxnet.engines.conversion import convert
from arcface_mxnet.engines.parity import Parity
from arcface_mxnet.engines.reference import run_mxnet
from arcface_mxnet.engines.signal_stack import kept_signal_stack
import cv2
import numpy as np
import onnxruntime
import pytest

OPSETS = (11, 13, 17)
PROVIDERS = {"onnxruntime": "CPUExecutionProvider", "OpenVINO": "OpenVINOExecutionProvider"}


def by_onnxruntime(name):
    def run(model, batch):
        provider = PROVIDERS[name]
        if provider not in onnxruntime.get_available_providers():
            pytest.skip(f"the onnxruntime that is installed has no {provider}")
        options = {"device_type": "CPU", "precision": "FP32"} if name == "OpenVINO" else {}
        with kept_signal_stack():
            session = onnxruntime.InferenceSession(model, providers=[(provider, options)])
        assert session.get_providers()[0] == provider
        return session.run(["fc1"], {"data": batch})[0]

    return run


def by_opencv(model, batch):
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    network.setInput(batch, "data")
    return network.forward("fc1")


READERS = {"OpenCV": by_opencv, **{name: by_onnxruntime(name) for name in PROVIDERS}}


@pytest.fixture(scope="module")
def expected(checkpoint):
    batch = np.random.default_rng(0).integers(0, 256, (2, 3, 112, 112)).astype(np.float32)
    return batch, run_mxnet(read_network(checkpoint), batch)


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("reader", READERS)
def test_reader_agrees(reader, opset, fold, checkpoint, expected):
    model = convert(read_network(checkpoint), fold=fold, opset=opset).SerializeToString()
    batch, outputs = expected
    assert Parity.of(outputs, [READERS[reader](model, batch)]).is_faithful

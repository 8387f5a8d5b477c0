"""Sessions: the provider and the precision that were asked for, or a refusal."""

import os
from pathlib import Path
import threading

from arcface_mxnet.engines import packages, session
from arcface_mxnet.engines.session import CPU, CUDA, OPENVINO, Session, provider
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import pytest

WEIGHT = np.random.default_rng(0).normal(size=(32, 48)).astype(np.float32)


def product(**metadata):
    """Return the bytes of a model x (n, 48) -> x @ WEIGHT.T (n, 32)."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["data", "weight"], ["fc1"], transB=1)],
        "product",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", 48])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["batch", 32])],
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, metadata)
    return model.SerializeToString()


@pytest.fixture(autouse=True)
def fresh():
    """What is found once per process is found again in every test."""
    for function in (provider, packages.onnxruntime_module, packages.has_bfloat16):
        function.cache_clear()
    yield
    for function in (provider, packages.onnxruntime_module, packages.has_bfloat16):
        function.cache_clear()


@pytest.fixture
def data():
    return np.random.default_rng(1).normal(size=(5, 48)).astype(np.float32)


def test_float32_is_float32_and_the_file_speaks_for_itself(data):
    opened = Session(product(color_order="RGB"))
    (found,) = opened.run({"data": data})
    exact = data.astype(np.float64) @ WEIGHT.T.astype(np.float64)
    assert np.abs(found - exact).max() < 1e-4  # bfloat16, OpenVINO's own choice, is 1e-1 off
    assert opened.metadata["color_order"] == "RGB"
    assert opened.inputs == {"data": ("batch", 48)} and opened.outputs == ["fc1"]


@pytest.mark.skipif(not packages.has_bfloat16(), reason="the processor has no bfloat16")
@pytest.mark.skipif(
    OPENVINO not in packages.onnxruntime_module().get_available_providers(),
    reason="bfloat16 needs OpenVINO's provider",
)
def test_bfloat16_is_another_precision(data):
    exact = data.astype(np.float64) @ WEIGHT.T.astype(np.float64)
    (found,) = Session(product(), dtype="bfloat16").run({"data": data})
    assert 1e-3 < np.abs(found - exact).max() < 0.3
    assert found.dtype == np.float32


def test_bfloat16_is_refused_where_it_cannot_be_had(monkeypatch):
    monkeypatch.setattr(session, "has_bfloat16", lambda: False)
    with pytest.raises(ValueError, match="--dtype bfloat16: this processor does not multiply"):
        Session(product(), dtype="bfloat16")
    monkeypatch.setattr(session, "has_bfloat16", lambda: True)
    _provide(monkeypatch, [CPU])
    provider.cache_clear()
    with pytest.raises(ValueError, match="needs OpenVINO's provider"):
        Session(product(), dtype="bfloat16")
    with pytest.raises(ValueError, match="dtype 'int4': known are float32, bfloat16"):
        Session(product(), dtype="int4")


def _provide(monkeypatch, names):
    runtime = packages.onnxruntime_module()
    monkeypatch.setattr(runtime, "get_available_providers", lambda: names)


def test_the_provider_is_chosen_by_device(monkeypatch):
    _provide(monkeypatch, [OPENVINO, CPU])
    assert provider(-1, "float32") == OPENVINO
    _provide(monkeypatch, [CPU])
    provider.cache_clear()
    assert provider(-1, "float32") == CPU
    with pytest.raises(ValueError, match=r"GPU 0: .* no CUDA provider .*arcface_mxnet\[gpu\]"):
        provider(0, "float32")
    _provide(monkeypatch, [CUDA, CPU])
    provider.cache_clear()
    assert provider(1, "float32") == CUDA


def test_a_provider_that_steps_aside_is_told(monkeypatch, caplog, data):
    """A wrong option makes OpenVINO's provider vanish without an exception."""
    if OPENVINO not in packages.onnxruntime_module().get_available_providers():
        pytest.skip("this onnxruntime has no OpenVINO provider")
    monkeypatch.setattr(session, "provider", lambda gpu, dtype: OPENVINO)
    monkeypatch.setattr(session, "_options", lambda *_: {"device_type": "CPU", "precision": "BF16"})
    opened = Session(product(), name="net")
    assert "net: OpenVINO does not take this network" in caplog.text
    assert opened.provider == "CPU provider"
    (found,) = opened.run({"data": data})
    assert np.allclose(found, data @ WEIGHT.T, atol=1e-4)
    with pytest.raises(ValueError, match="so bfloat16 cannot be had there"):
        Session(product(), dtype="bfloat16", name="net")


def test_bad_models_and_inputs():
    with pytest.raises(ValueError, match="junk: not an ONNX file that can be run"):
        Session(b"junk", name="junk")
    with pytest.raises(ValueError, match=r"does not take .*\(1, 7\)"):
        Session(product()).run({"data": np.zeros((1, 7), np.float32)})


def test_an_int8_network_runs_on_the_cpu_provider():
    model = onnx.load_model_from_string(product())
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    zero = numpy_helper.from_array(np.uint8(128), "zero")
    model.graph.initializer.extend([scale, zero])
    model.graph.node.insert(0, helper.make_node("QuantizeLinear", ["data", "scale", "zero"], ["q"]))
    model.graph.node.insert(1, helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"]))
    model.graph.node[2].input[0] = "x"
    assert Session(model.SerializeToString()).provider == "CPU provider"
    with pytest.raises(ValueError, match="an INT8 network has no bfloat16"):
        if OPENVINO not in packages.onnxruntime_module().get_available_providers():
            pytest.skip("bfloat16 needs OpenVINO's provider")
        Session(model.SerializeToString(), dtype="bfloat16")


def test_two_packages_of_one_module_are_told(monkeypatch):
    monkeypatch.setattr(
        packages,
        "installed_packages",
        lambda: {"onnxruntime": "1.24.1", "onnxruntime-openvino": "1.24.1"},
    )
    with pytest.raises(
        ValueError,
        match="2 packages of the module onnxruntime .*onnxruntime and onnxruntime-openvino.*"
        "pip uninstall -y onnxruntime onnxruntime-openvino",
    ):
        Session(product())


def test_an_empty_or_absent_module_is_told(monkeypatch):
    monkeypatch.setattr(packages, "has_onnxruntime", lambda: False)
    with pytest.raises(ValueError, match="onnxruntime is not installed: pip install"):
        packages.onnxruntime_module()
    monkeypatch.setattr(packages, "has_onnxruntime", lambda: True)
    packages.onnxruntime_module.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", type(onnx)("onnxruntime"))
    with pytest.raises(ValueError, match="the module onnxruntime is empty"):
        packages.onnxruntime_module()


def test_threads_share_a_session(data):
    opened, found = Session(product()), []

    def work(rows):
        for _ in range(20):
            found.append((rows, opened.run({"data": data[:rows]})[0]))

    threads = [threading.Thread(target=work, args=(rows,)) for rows in (1, 2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 60
    for rows, output in found:
        assert np.allclose(output, data[:rows] @ WEIGHT.T, atol=1e-4)


@pytest.mark.skipif(
    OPENVINO not in packages.onnxruntime_module().get_available_providers(),
    reason="it is OpenVINO that keeps what it prepared for a size",
)
def test_images_of_many_sizes_take_bounded_memory():
    bounded, unbounded = (growth(Session(filters(), any_size=any_size)) for any_size in (1, 0))
    assert bounded < 30 < unbounded, "MB"  # 10 and 80 were seen


def filters():
    """Return the bytes of a model of four convolutions of images of any size."""
    names = ["data", "first", "second", "third", "fc1"]
    rng = np.random.default_rng(2)
    weights = [
        numpy_helper.from_array(rng.normal(size=(16, channels, 3, 3)).astype(np.float32), f"w{i}")
        for i, channels in enumerate((3, 16, 16, 16))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", [names[i], f"w{i}"], [names[i + 1]], kernel_shape=[3, 3])
            for i in range(4)
        ],
        "filters",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["n", 16, "a", "b"])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def growth(opened):
    """Return by how many MB this process grows from the 50th size to the 500th."""
    taken = {}
    for number in range(500):
        shape = (1, 3, 20 + number % 25, 20 + number // 25)
        opened.run({"data": np.zeros(shape, np.float32)})
        taken[number] = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
    return (taken[499] - taken[50]) / 1e6

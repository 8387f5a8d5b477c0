"""Which engine runs a network is decided in one place, and said with the reason."""

from arcface_mxnet.engines import choice as engine
from arcface_mxnet.engines.choice import Engine, choose_engine, device_numbers
import mxnet as mx
import pytest

CHECKPOINT = "models/y1,0"


@pytest.fixture
def machine(monkeypatch):
    """Return a function that pretends what is installed and which GPUs there are."""

    def pretend(*, onnxruntime=True, mxnet=True, onnx=True, gpus=(), cuda=""):
        monkeypatch.setattr(engine, "has_onnxruntime", lambda: onnxruntime)
        monkeypatch.setattr(engine, "has_mxnet", lambda: mxnet)
        monkeypatch.setattr(engine, "find_spec", lambda name: object() if onnx else None)
        monkeypatch.setattr(engine, "compute_capabilities", lambda: list(gpus))
        monkeypatch.setattr(engine, "has_mxnet_for_gpus", lambda: mxnet and "mxnet" in cuda)
        monkeypatch.setattr(engine, "has_cuda_provider", lambda: "onnxruntime" in cuda)
        monkeypatch.setattr(engine, "provider", lambda gpu, dtype: "a provider")

    return pretend


def test_on_a_cpu_the_library_is_taken(machine):
    machine()
    chosen = choose_engine(CHECKPOINT)
    assert (chosen.name, chosen.devices) == ("onnxruntime", (-1,))
    assert str(chosen) == ("onnxruntime on the CPU, float32 (auto: the faster one on a CPU)")
    assert choose_engine(CHECKPOINT, ctx=[mx.cpu(0), mx.cpu(1)]).devices == (-1,)
    machine(onnxruntime=False)
    assert choose_engine(CHECKPOINT).name == "mxnet"
    assert "onnxruntime is not installed" in choose_engine(CHECKPOINT).reason
    machine(onnx=False)
    assert choose_engine(CHECKPOINT).name == "mxnet"
    machine(onnxruntime=False, mxnet=False)
    with pytest.raises(ValueError, match=r"nothing here can run a checkpoint: pip install"):
        choose_engine(CHECKPOINT)


def test_on_a_gpu_mxnet_is_taken_where_its_wheel_has_code(machine):
    machine(gpus=[(8, 6)], cuda="mxnet")
    chosen = choose_engine(CHECKPOINT, ctx=0)
    assert (chosen.name, chosen.devices) == ("mxnet", (0,))
    assert str(chosen).startswith("mxnet on GPU 0, float32 (auto: its wheel")
    machine(gpus=[(9, 0)], cuda="mxnet onnxruntime")
    chosen = choose_engine(CHECKPOINT, ctx=mx.gpu(0))
    assert chosen.name == "onnxruntime" and "no code for this GPU" in chosen.reason
    machine(gpus=[(8, 6), (9, 0)], cuda="mxnet")
    assert choose_engine(CHECKPOINT, ctx=0).name == "mxnet"
    assert choose_engine(CHECKPOINT, ctx=1).name == "onnxruntime"
    machine(gpus=[(8, 6)], mxnet=False, cuda="onnxruntime")
    assert choose_engine(CHECKPOINT, ctx=0).name == "onnxruntime"
    machine(gpus=[(8, 6), (8, 6)], cuda="mxnet")
    assert choose_engine(CHECKPOINT, ctx=[mx.gpu(0), mx.gpu(1)]).devices == (0, 1)
    with pytest.raises(ValueError, match="uses one GPU, and 2 are named"):
        choose_engine(CHECKPOINT, "onnxruntime", [mx.gpu(0), mx.gpu(1)])


def test_what_was_asked_for_is_taken_without_a_reason(machine):
    machine()
    assert choose_engine(CHECKPOINT, "mxnet") == Engine("mxnet", (-1,))
    assert choose_engine(CHECKPOINT, "onnxruntime") == Engine("onnxruntime", (-1,))
    assert choose_engine("net.onnx").name == "onnxruntime"
    chosen = choose_engine(CHECKPOINT, dtype="bfloat16")
    assert (chosen.name, chosen.dtype) == ("onnxruntime", "bfloat16")


def test_what_cannot_be_had_is_refused(machine):
    machine()
    with pytest.raises(ValueError, match="--engine 'tvm': known are auto, mxnet, onnxruntime"):
        choose_engine(CHECKPOINT, "tvm")
    with pytest.raises(ValueError, match="--dtype 'int4': known are float32, bfloat16"):
        choose_engine(CHECKPOINT, dtype="int4")
    with pytest.raises(ValueError, match="MXNet reads checkpoints PREFIX,NUMBER, not ONNX files"):
        choose_engine("y1.onnx", "mxnet")
    with pytest.raises(ValueError, match="--dtype bfloat16: MXNet embeds in float32"):
        choose_engine(CHECKPOINT, "mxnet", dtype="bfloat16")
    machine(mxnet=False)
    with pytest.raises(ValueError, match="--engine mxnet is not installed"):
        choose_engine(CHECKPOINT, "mxnet")
    machine(onnx=False)
    with pytest.raises(ValueError, match="converting a checkpoint needs the package onnx"):
        choose_engine(CHECKPOINT, "onnxruntime")
    assert choose_engine("net.onnx", "onnxruntime").name == "onnxruntime"


def test_the_default_gpu_is_one_that_something_installed_can_use(machine):
    machine()
    assert engine.default_gpu() == -1
    machine(gpus=[(8, 6)])
    assert engine.default_gpu() == -1  # CPU packages on a machine with a GPU
    machine(gpus=[(8, 6)], cuda="mxnet")
    assert engine.default_gpu() == 0
    machine(gpus=[(9, 0)], cuda="mxnet")
    assert engine.default_gpu() == -1
    machine(gpus=[(9, 0)], cuda="onnxruntime")
    assert engine.default_gpu() == 0


def test_device_numbers():
    assert device_numbers(None) == device_numbers(mx.cpu()) == device_numbers(-1) == (-1,)
    assert device_numbers(mx.gpu(2)) == device_numbers(2) == (2,)
    assert device_numbers([mx.gpu(0), mx.gpu(1)]) == (0, 1)
    assert device_numbers([]) == (-1,)

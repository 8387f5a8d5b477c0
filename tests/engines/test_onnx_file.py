"""ONNX files of others: values lie in the file itself, as many as the sizes say."""

import re

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from arcface_mxnet.embedding.embedder import Embedder  # noqa: E402
from arcface_mxnet.engines.onnx_file import parse_onnx, read_onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def model(weight=None, node=None, **fields):
    """Return a model of one product."""
    weight = weight or numpy_helper.from_array(VALUES, "w")
    node = node or helper.make_node("MatMul", ["x", "w"], ["y"])
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, k]) for n, k in ("x2", "y3")]
    ports[0].name, ports[1].name = "x", "y"
    graph = helper.make_graph([node], "g", ports[:1], ports[1:], [weight], **fields)
    return helper.make_model(graph)


def tensor(**fields):
    made = numpy_helper.from_array(VALUES, "w")
    for name, value in fields.items():
        if name == "dims":
            del made.dims[:]
            made.dims.extend(value)
        elif isinstance(value, list):
            getattr(made, name).extend(value)
        else:
            setattr(made, name, value)
    return made


def external(name="weights.bin"):
    made = tensor()
    made.ClearField("raw_data")
    made.data_location = TensorProto.EXTERNAL
    made.external_data.add(key="location", value=name)
    return made


def in_attribute(made, depth=1):
    """Return a node that holds a tensor, in graphs within graphs."""
    node = helper.make_node("Constant", [], ["y"], value=made)
    for _ in range(depth - 1):
        node = helper.make_node(
            "If", ["x"], ["y"], then_branch=helper.make_graph([node], "g", [], [])
        )
    return node


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "u1", "i1", "i2", "i4", "i8", "u4", "u8", "b1"])
@pytest.mark.parametrize("raw", [True, False])
def test_sound_models_are_taken(kind, raw):
    values = VALUES.astype(kind)
    made = numpy_helper.from_array(values, "w")
    if not raw:
        made = helper.make_tensor("w", made.data_type, values.shape, values.flatten().tolist())
    data = model(made).SerializeToString()
    found = parse_onnx(data, "m.onnx").graph.initializer[0]
    assert np.array_equal(numpy_helper.to_array(found), values)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (tensor(dims=[2, 4]), "tensor 'w' has 24 bytes, its dimensions '[2, 4]' need 32: damaged"),
        (tensor(dims=[1 << 40, 1 << 40]), "need 4835703278458516698824704"),
        (tensor(dims=[-2, -3]), "has dimensions '[-2, -3]'"),
        (tensor(raw_data=b""), "has 0 bytes"),
        (
            tensor(float_data=[1.0] * 6),
            "has its values twice, as float_data and raw_data: damaged",
        ),
        (tensor(data_type=99), "is of type 99; known are 1, 2"),
        (tensor(data_type=TensorProto.STRING), "is of type 8"),
        (helper.make_tensor("w", 1, [3], [1.0, 2.0, 3.0], raw=False), None),
        (external(), "has its values in another file, which is not read; make it one file: python"),
        (external("/etc/passwd"), "has its values in another file"),
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_tensors_that_say_more_than_they_have(made, reason, depth):
    whole = model(made) if depth == 0 else model(node=in_attribute(made, depth))
    if reason is None:
        assert parse_onnx(whole.SerializeToString(), "m.onnx")
        return
    with pytest.raises(ValueError, match=f"^m.onnx: .*{re.escape(reason)}"):
        parse_onnx(whole.SerializeToString(), "m.onnx")


def test_the_cure_that_is_named_makes_one_file(tmp_path):
    onnx.save_model(model(), tmp_path / "in.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(ValueError, match="another file"):
        parse_onnx(read_onnx(tmp_path / "in.onnx"), "in.onnx")
    onnx.save_model(onnx.load(tmp_path / "in.onnx"), tmp_path / "out.onnx")
    assert parse_onnx(read_onnx(tmp_path / "out.onnx"), "out.onnx")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an ONNX file with a network"),
        (b"<html>not found</html>", "not an ONNX file"),
        (model().SerializeToString()[:60], "not an ONNX file, or truncated"),
        (model(node=in_attribute(tensor(), 20)).SerializeToString(), "more than 8 deep"),
    ],
)
def test_what_is_no_model(data, reason):
    with pytest.raises(ValueError, match=f"^m.onnx: .*{reason}"):
        parse_onnx(data, "m.onnx")


def test_sparse_weights_and_training_are_refused():
    whole = model()
    whole.graph.sparse_initializer.add()
    with pytest.raises(ValueError, match="sparse weights"):
        parse_onnx(whole.SerializeToString(), "m")
    whole = model()
    whole.training_info.add()
    with pytest.raises(ValueError, match="how to train"):
        parse_onnx(whole.SerializeToString(), "m")


def test_every_truncation_and_flip_is_a_model_or_a_value_error():
    data, rng = model().SerializeToString(), np.random.default_rng(0)
    cases = [data[:size] for size in range(len(data))]
    for _ in range(2000):
        place = int(rng.integers(len(data)))
        cases.append(data[:place] + rng.bytes(1) + data[place + 1 :])
    for case in cases:
        try:
            parse_onnx(case, "m.onnx")
        except ValueError as error:
            assert str(error).startswith("m.onnx: ") and len(str(error)) < 400


def test_an_embedder_reads_no_other_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(VALUES.tobytes())
    (tmp_path / "m.onnx").write_bytes(model(external()).SerializeToString())
    with pytest.raises(ValueError, match="another file, which is not read"):
        Embedder(str(tmp_path / "m.onnx"))
    with pytest.raises(FileNotFoundError, match=f"no ONNX file {tmp_path}"):
        Embedder(str(tmp_path / "none.onnx"))

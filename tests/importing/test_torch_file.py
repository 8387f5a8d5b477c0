"""Files of torch's form that are hostile, damaged or of another kind: nothing of them is run."""

from collections import OrderedDict
import io
import json
import pickle
import struct
import zipfile

from arcface_mxnet.export.torch_archive import write_archive
from arcface_mxnet.importing.safetensors_file import read_safetensors, write_safetensors
from arcface_mxnet.importing.torch_file import network_of, read_torch
from arcface_mxnet.importing.torch_pickle import StoredTensor, load_torch_pickle
import numpy as np
import pytest

ARRAYS = {
    "a.weight": np.arange(6, dtype="<f4").reshape(2, 3), "a.bias": np.ones(2, "<f4"),
    "n.num_batches_tracked": np.array(7, "<i8"), "none": np.zeros((0, 3), "<f4"),
}  # fmt: skip


class Storage:
    """Stands for a storage while a pickle is made."""

    def __init__(self, kind="FloatStorage", key="0", count=6):
        self.said = ("storage", Global("torch", kind), key, "cpu", count)


class Global:
    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """A call of a global, as the pickle will ask for it."""

    def __init__(self, module, name, *arguments):
        self.function, self.arguments = Global(module, name), arguments


class Pickler(pickle._Pickler):
    """Python's pickler in Python, with globals that are never imported."""

    def persistent_id(self, value):
        return value.said if isinstance(value, Storage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Global):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Call):
            self.save(value.function)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def pickled(value):
    file = io.BytesIO()
    Pickler(file, 2).dump(value)
    return file.getvalue()


def tensor(storage=None, offset=0, shape=(2, 3), steps=(3, 1)):
    empty = Call("collections", "OrderedDict")
    rebuild = ("torch._utils", "_rebuild_tensor_v2")
    return Call(*rebuild, storage or Storage(), offset, shape, steps, False, empty)


def archive(path, content, numbers=bytes(24), **more):
    members = {"m/data.pkl": pickled(content), "m/data/0": numbers, "m/version": b"3\n"} | more
    with zipfile.ZipFile(path, "w") as made:
        for name, data in members.items():
            made.writestr(zipfile.ZipInfo(name.replace("__", "/")), data)
    return path


@pytest.mark.parametrize("end", ["pth", "safetensors"])
def test_what_was_written_is_read(tmp_path, end):
    path = tmp_path / f"m.{end}"
    {"pth": write_archive, "safetensors": write_safetensors}[end](path, ARRAYS)
    found = read_torch(path)
    assert list(found) == list(ARRAYS)
    for name, value in ARRAYS.items():
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)


def test_types_steps_and_offsets(tmp_path):
    halves = np.arange(6, dtype="<f2").tobytes()
    brain = np.arange(1, 7, dtype="<f4").view("<u4") >> 16  # exact: small whole numbers
    content = {
        "turned": tensor(Storage("HalfStorage"), 0, (3, 2), (1, 3)),
        "part": tensor(Storage("HalfStorage"), 4, (2,), (1,)),
        "brain": tensor(Storage("BFloat16Storage", "1"), 0, (6,), (1,)),
    }
    more = {"m__data__1": brain.astype("<u2").tobytes()}
    found = read_torch(archive(tmp_path / "m.pth", content, halves, **more))
    np.testing.assert_array_equal(found["turned"], np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(found["part"], [4, 5])
    np.testing.assert_array_equal(found["brain"], np.arange(1, 7))


def test_what_torch_pickles_beside_names_and_numbers():
    parameter = Call("torch._utils", "_rebuild_parameter", tensor(), True, OrderedDict())
    found = load_torch_pickle(pickled({"p": parameter, "lr": 0.5, "steps": [1, (2, None)]}))
    assert found["p"] == StoredTensor(found["p"].storage, 0, (2, 3), (3, 1))
    assert (found["lr"], found["steps"]) == (0.5, [1, (2, None)])


@pytest.mark.parametrize(
    "content",
    [
        Call("os", "system", "touch ran"),
        {"a": tensor(), "b": Call("builtins", "eval", "1")},
        {"a": Call("torch.nn.modules.conv", "Conv2d")},
        {"a": Global("arcface_mxnet.files", "replace_file")},
        {"a": Call("torch._utils", "_rebuild_device_tensor_from_numpy", tensor())},
        {"args": Call("argparse", "Namespace")},
        Call("torch", "FloatStorage", 3),
    ],
    ids=lambda value: "",
)
def test_code_in_a_checkpoint_is_named_and_never_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "m.pth", content)
    with pytest.raises(ValueError, match=r"m\.pth: m/data\.pkl: .*nothing of it was run") as error:
        read_torch(path)
    assert any(word in str(error.value) for word in ("the name ", "a call of "))
    assert [each.name for each in tmp_path.iterdir()] == ["m.pth"]


@pytest.mark.parametrize("opcode", [pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.EXT1, b"P0\n"])
def test_opcodes_that_a_checkpoint_never_needs(opcode):
    with pytest.raises(ValueError, match="opcode .*nothing of it was run"):
        load_torch_pickle(b"\x80\x02}(" + opcode + b"os\nsystem\n.")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shape": (2, 4), "steps": (4, 1)}, "a tensor that ends at number 7 of 6"),
        ({"offset": 1}, "a tensor that ends at number 6 of 6"),
        ({"offset": -1}, "a tensor that ends at number"),
        ({"steps": (-3, 1)}, "a tensor of shape"),
        ({"shape": (2,)}, "a tensor of shape"),
        ({"shape": (1 << 40, 3), "steps": (0, 1)}, "tensors of .* bytes; at most"),
        ({"storage": Storage(count=7)}, "has 24 bytes for 7 numbers"),
        ({"storage": Storage(count=5), "shape": (5,), "steps": (1,)}, "is of 24 bytes; at most 20"),
        ({"storage": Storage(key="9")}, "it lacks 'm/data/9'"),
        ({"storage": Storage(key="../../x")}, "a persistent object that is no storage"),
        ({"storage": Storage("QInt8Storage")}, "the name torch.QInt8Storage"),
    ],
)
def test_a_tensor_beyond_its_numbers(tmp_path, changes, reason):
    path = archive(tmp_path / "m.pth", {"a": tensor(**changes)})
    with pytest.raises(ValueError, match=rf"^{path}: .*{reason}"):
        read_torch(path)


def test_an_archive_of_another_kind(tmp_path):
    path, content = tmp_path / "m.pth", {"a": tensor()}
    with pytest.raises(FileNotFoundError, match=r"no checkpoint /.*m\.pth"):
        read_torch(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("m/data.pkl", pickled(content))
    with pytest.raises(ValueError, match="its member 'm/data.pkl' is compressed"):
        read_torch(path)
    archive(path, content, m__byteorder=b"big")
    with pytest.raises(ValueError, match="its numbers are not little-endian"):
        read_torch(path)
    archive(path, content, other__data__pkl=b"", **{"n/data.pkl": b""})
    with pytest.raises(ValueError, match=r"it holds 2 data\.pkl"):
        read_torch(path)
    archive(path, content)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="not an archive that can be read, or truncated"):
        read_torch(path)
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match="neither an archive of torch .*begins with b'<html>'"):
        read_torch(path)


def test_the_network_among_other_things():
    one = StoredTensor(None, 0, (), ())
    assert network_of({"epoch": 1, "model": {"state_dict": {"a": one}}}) == {"a": one}
    for content in ({"state_dict": {"a": 1}}, [one], {"model": {"a": one}, "net": {"b": one}}, 3):
        with pytest.raises(ValueError, match="it holds no network: looked for tensors, or one of"):
            network_of(content)


def safetensors(header, body=bytes(24)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(begin=0, end=24, shape=(2, 3), dtype="F32", **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]} | more


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"123", "it has 3 bytes"),
        (struct.pack("<Q", 1 << 60) + b"{}", "header should have .* bytes, 2 follow"),
        (safetensors({"a": entry(end=20)}), "bytes 0 to 20 of 24, its shape .* takes 24"),
        (safetensors({"a": entry(begin=24, end=48)}), "bytes 24 to 48 of 24"),
        (safetensors({"a": entry(), "b": entry()}), "tensor 'b' begins at 0, not at 24"),
        (safetensors({"a": entry(4, 24, (5,))}), "tensor 'a' begins at 4, not at 0"),
        (safetensors({"a": entry(0, 20, (5,))}), "its tensors end at byte 20 of 24"),
        (safetensors({"a": entry(dtype="F8_E4M3")}), "is of type 'F8_E4M3'; read are F64, F32"),
        (safetensors({"a": entry(shape=(-2, -3))}), "a shape or offsets that are no counts"),
        (safetensors({"a": entry(code="x")}), "has not exactly"),
        (safetensors([1]), "its header is no object"),
        (safetensors(b'{"a": '), "no JSON"),
        (safetensors(b'{"a": 1, "a": 2}'), "twice"),
    ],
)
def test_safetensors_that_do_not_fit(tmp_path, data, reason):
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"^{path}: .*{reason}"):
        read_safetensors(path)

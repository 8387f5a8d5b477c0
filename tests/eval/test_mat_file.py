"""MATLAB files are read in a process of its own: whatever a file does to it is a message."""

import io
import struct
import sys
import zlib

from arcface_mxnet.eval import mat_file
from arcface_mxnet.eval.mat_file import MatArray, read_mat
from arcface_mxnet.eval.pair_lists import read_agedb
import numpy as np
import pytest
from scipy.io import savemat


def cells(*values, shape=None):
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape or (1, len(values)))


def saved(**options):
    file = io.BytesIO()
    pairs = cells("a/1.jpg", "b/1.jpg", 1.0, 0, shape=(2, 2))
    savemat(file, {"pairs": pairs, "name": "text", "nothing": np.zeros((0, 3))}, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"do_compression": True}])
def test_cells_text_and_numbers(tmp_path, options):
    path = tmp_path / "a.mat"
    path.write_bytes(saved(**options))
    found = read_mat(path)
    assert [value.leaf() for value in found["pairs"].items] == ["a/1.jpg", "b/1.jpg", 1.0, 0]
    assert found["pairs"].shape == (2, 2) and found["name"].leaf() == "text"
    assert found["nothing"] == MatArray((0, 3), []) and found["nothing"].leaf() == ""


def test_structs_and_nested_cells(tmp_path):
    path = tmp_path / "a.mat"
    struct_array = np.array([("x", 1.0), ("y", 0.0)], [("path", object), ("label", object)])
    savemat(path, {"s": struct_array, "deep": cells(cells(cells("leaf")))})
    found = read_mat(path)
    assert found["s"].fields == ("path", "label")
    assert [[value.leaf() for value in row] for row in found["s"].items] == [["x", 1], ["y", 0]]
    assert found["deep"].leaf() == "leaf"


def matrix(kind, flags, dimensions, body):
    """Return the element of an array of version 5."""
    head = struct.pack("<IIII", 6, 8, flags | kind, 0)
    head += struct.pack("<II", 5, 4 * len(dimensions)) + struct.pack("<2i", *dimensions)
    head += struct.pack("<HH4s", 1, 1, b"x")
    return struct.pack("<II", 14, len(head + body)) + head + body


HEAD = b"MATLAB 5.0".ljust(124) + struct.pack("<HH", 0x100, 0x4D49)


def bomb(size):
    """Return a file of a compressed array of `size` zeros, float64."""
    whole = matrix(6, 0, (size, 1), struct.pack("<II", 9, 8 * size))
    packer = zlib.compressobj(1)
    parts = [packer.compress(struct.pack("<II", 14, len(whole) - 8 + 8 * size) + whole[8:])]
    zeros = bytes(1 << 20)
    parts += [packer.compress(zeros) for _ in range(8 * size >> 20)] + [packer.flush()]
    packed = b"".join(parts)
    return HEAD + struct.pack("<II", 15, len(packed)) + packed


def nested(depth):
    inner = matrix(6, 0, (1, 1), struct.pack("<II", 9, 8) + bytes(8))
    for _ in range(depth):
        inner = matrix(1, 0, (1, 1), inner)
    return HEAD + inner


WHOLE = saved()
DAMAGED = {
    "empty": b"",
    "text": b"no MATLAB file at all, but a text of some length " * 5,
    "truncated": WHOLE[:-20],
    "version 7.3": b"MATLAB 7.3 MAT-file".ljust(124) + struct.pack("<HH", 0x200, 0x4D49),
    "type": WHOLE[:128] + b"\x63" + WHOLE[129:],
    "sizes": WHOLE[:150] + b"\xff" * 20 + WHOLE[170:],
    "bomb": bomb(1 << 28),
    "deep": nested(300),
    "nan": HEAD + matrix(6, 0, (1, 1), struct.pack("<IId", 9, 8, np.nan)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_a_message(tmp_path, name):
    path = tmp_path / "a.mat"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(ValueError, match=r"a\.mat: not a MATLAB file that can be read: ") as caught:
        read_mat(path)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", "its reader crashed .signal 11"),
        ("raise SystemError('x')", "its reader ended .'SystemError: x'"),
        ("print('junk')", "its reader ended .'without a word'"),
        ("import time; time.sleep(9)", "takes more than 2 seconds"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
def test_what_happens_to_the_child_is_a_message(tmp_path, monkeypatch, child, reason):
    path = tmp_path / "a.mat"
    path.write_bytes(WHOLE)
    monkeypatch.setattr(mat_file, "CHILD", child)
    monkeypatch.setattr(mat_file, "MOST_SECONDS", 2)
    monkeypatch.setattr(mat_file, "PATIENCE", 1)
    with pytest.raises(ValueError, match=f"a.mat: not a MATLAB file .*{reason}.*; fetch it"):
        read_mat(path)


def test_no_file_and_a_large_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no MATLAB file {tmp_path}"):
        read_mat(tmp_path / "a.mat")
    with (tmp_path / "a.mat").open("wb") as file:
        file.truncate(mat_file.LARGEST_FILE + 1)
    with pytest.raises(ValueError, match="a MATLAB file of 67108865 bytes"):
        read_mat(tmp_path / "a.mat")


def test_a_list_of_other_content_is_told(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(WHOLE)
    with pytest.raises(ValueError, match="has no variable 'splits'"):
        read_agedb(path, tmp_path)

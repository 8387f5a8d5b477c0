"""Arrays of .npy files: the header is believed only where the file bears it out."""

import io
import struct

from arcface_mxnet.embedding.npy import open_npy
import numpy as np
import pytest

ROWS = np.arange(24, dtype=np.float32).reshape(4, 6)
FLOATS = ("float32", "float16")


def headed(header, values=b"", version=(1, 0)):
    size = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + size + header + values


def literal(descr="'<f4'", order="False", shape="(4, 6)"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    return text.encode()


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_numpy_writes_is_read(tmp_path, dtype):
    np.save(tmp_path / "a.npy", ROWS.astype(dtype))
    found = open_npy(tmp_path / "a.npy", ndim=2, dtypes=FLOATS)
    assert found.dtype == dtype and np.array_equal(found, ROWS)


def test_older_and_empty_files_are_read(tmp_path):
    path = tmp_path / "a.npy"
    file = io.BytesIO()
    np.lib.format.write_array(file, ROWS, version=(2, 0))
    path.write_bytes(file.getvalue())
    assert np.array_equal(open_npy(path, ndim=2, dtypes=FLOATS), ROWS)
    path.write_bytes(headed(literal(shape="(4L, 6L)"), ROWS.tobytes()))  # by Python 2
    assert np.array_equal(open_npy(path, ndim=2, dtypes=FLOATS), ROWS)
    np.save(path, ROWS[:0])
    assert open_npy(path, ndim=2, dtypes=FLOATS).shape == (0, 6)
    path.write_bytes(headed(literal(order="True", shape="(24, 1)"), ROWS.tobytes()))
    assert np.array_equal(open_npy(path, ndim=2, dtypes=FLOATS), ROWS.reshape(24, 1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no header"),
        (b"PK\x03\x04 an archive", "no header"),
        (b"\x80\x04K\x01.", "no header"),
        (headed(literal(), version=(9, 0)), "no header"),
        (headed(literal())[:30], "no header"),
        (headed(b"("), "no header"),
        (headed(b"(" * 5000), "no header"),
        (headed(b"{'descr': '<f4', 'shape': (4 6"), "no header"),
        (headed(b"\xff\xfe{}", version=(2, 0)), "no header"),
        (headed(b"{}", version=(2, 0))[:8] + b"\xff\xff\xff\x7f{}", "no header"),
        (headed(literal(descr="'|O'")), "of object; wanted are 2 dimensions of float32 or"),
        (headed(literal(descr="[('a', '<f4')]"), ROWS.tobytes()), "wanted are"),
        (headed(literal(descr="'9999999f4'")), "9999999,"),
        (headed(literal(descr="'>f4'"), ROWS.tobytes()), "of '>f4'; wanted"),
        (headed(literal(descr="'<f8'"), ROWS.tobytes() * 2), "of float64; wanted"),
        (headed(literal(descr="'<i4'"), ROWS.tobytes()), "of int32; wanted"),
        (headed(literal(order="True"), ROWS.tobytes()), "its order is Fortran's"),
        (headed(literal(shape="(24,)"), ROWS.tobytes()), r"an array \(24,\) of float32; wanted"),
        (headed(literal(shape="(-4, -6)"), ROWS.tobytes()), "its shape is"),
        (headed(literal(shape="(True, 24)"), ROWS.tobytes()), "its shape is"),
        (headed(literal(shape=f"({1 << 90}, 6)"), ROWS.tobytes()), "its shape is"),
        (headed(literal(shape=f"({1 << 61}, 8)"), ROWS.tobytes()), "truncated: "),
        (headed(literal(), ROWS.tobytes()[:-1]), "truncated: "),
        (headed(literal(), ROWS.tobytes() + b"\0"), "truncated: "),
    ],
)
def test_what_is_no_such_array_is_refused(tmp_path, content, reason):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a.npy: not a store.*{reason}") as caught:
        open_npy(path, ndim=2, dtypes=FLOATS)
    assert len(str(caught.value)) < 500


def test_every_truncation_and_flipped_byte_is_an_array_or_a_value_error(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, ROWS)
    whole = path.read_bytes()
    cases = [whole[:size] for size in range(len(whole))]
    for place in range(128):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            cases.append(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
    refused = 0
    for case in cases:
        path.write_bytes(case)
        try:
            open_npy(path, ndim=2, dtypes=FLOATS)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > len(whole)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no store {tmp_path}"):
        open_npy(tmp_path / "a.npy", ndim=2, dtypes=FLOATS)

"""Parameter files: byte-equal to MXNet's, read in every form it wrote, damage named."""

import errno
import struct
import subprocess
import sys

from arcface_mxnet.checkpoints import params
from arcface_mxnet.checkpoints.params import (
    named_params,
    parse_params,
    read_params,
    split_params,
    write_params,
)
import mxnet as mx
import numpy as np
import pytest

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
CPU_FLOAT = struct.pack("<iii", 1, 0, 0)  # device type, device id, type flag
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA

# What writers of all years wrote for VALUES: before its device, type and values.
HEADS = {
    "oldest": struct.pack("<III", 2, 2, 3),
    "v1": struct.pack("<IIqq", V1, 2, 2, 3),
    "v2": struct.pack("<IiIqq", V2, 0, 2, 2, 3),
    "v3": struct.pack("<IiIqq", V3, 0, 2, 2, 3),
}


def file_of(array, name=b"arg:w", count=1, tail=b""):
    """Return the bytes of a file of one array."""
    start = struct.pack("<QQQ", 0x112, 0, count)
    return start + array + struct.pack("<QQ", count, len(name)) + name + tail


def whole(head, kind=CPU_FLOAT):
    return file_of(head + kind + VALUES.tobytes())


@pytest.fixture
def arrays():
    rng = np.random.RandomState(0)
    return {
        "arg:w": mx.nd.array(rng.randn(3, 4, 1, 2)),
        "aux:m": mx.nd.array(rng.randn(5)),
        "arg:h": mx.nd.array(rng.randn(2, 2), dtype="float16"),
        "arg:d": mx.nd.array(rng.randn(2, 1), dtype="float64"),
        "meta:x": mx.nd.array([1, 2, 255], dtype="uint8"),
        "meta:s": mx.nd.array([-1, 2], dtype="int8"),
        "meta:i": mx.nd.array([-1, 2**30], dtype="int32"),
        "meta:l": mx.nd.array([-1, 2**40], dtype="int64"),
    }


def test_golden_bytes(tmp_path):
    write_params(tmp_path / "p", {"arg:w": VALUES[:, :1]})
    assert (tmp_path / "p").read_bytes().hex() == (
        "1201000000000000" "0000000000000000" "0100000000000000"  # list, reserved, one array
        "c9fa93f9" "00000000" "02000000" "0200000000000000" "0100000000000000"  # dense, (2, 1)
        "01000000" "00000000" "00000000" "00000000" "00004040"  # cpu(0), float32, 0.0 and 3.0
        "0100000000000000" "0500000000000000" "6172673a77"  # one name of 5 bytes, "arg:w"
    )  # fmt: skip


def test_bytes_equal_mxnet(tmp_path, arrays):
    mx.nd.save(str(tmp_path / "theirs"), arrays)
    write_params(tmp_path / "ours", arrays)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_round_trip(tmp_path, arrays):
    write_params(tmp_path / "p", {name: array.asnumpy() for name, array in arrays.items()})
    back = read_params(tmp_path / "p")
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert back[name].flags.owndata and back[name].flags.writeable
        np.testing.assert_array_equal(back[name], array.asnumpy())


def test_arrays_in_any_order_of_bytes_and_axes_are_written_right(tmp_path):
    given = {"a": VALUES.T, "b": VALUES.astype(">f4"), "c": VALUES[:, ::2]}
    write_params(tmp_path / "p", given)
    for name, value in read_params(tmp_path / "p").items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, given[name])


@pytest.mark.parametrize("form", HEADS)
def test_every_form_is_read(form, tmp_path):
    (tmp_path / "p").write_bytes(whole(HEADS[form]))
    np.testing.assert_array_equal(read_params(tmp_path / "p")["arg:w"], VALUES)
    with mx.util.np_shape(form == "v3"):
        theirs = mx.nd.load(str(tmp_path / "p"))["arg:w"]  # so the bytes above are MXNet's
    np.testing.assert_array_equal(theirs.asnumpy(), VALUES)


def test_numpy_shapes_as_mxnet_writes_them(tmp_path):
    with mx.util.np_shape(True):
        arrays = {"scalar": mx.np.array(3.0), "empty": mx.np.zeros((0, 3)), "m": mx.np.ones((2, 3))}
        mx.nd.save(
            str(tmp_path / "p"), {name: array.as_nd_ndarray() for name, array in arrays.items()}
        )
    back = read_params(tmp_path / "p")
    assert {name: value.shape for name, value in back.items()} == {
        "scalar": (), "empty": (0, 3), "m": (2, 3)
    }  # fmt: skip
    assert back["scalar"] == 3


def test_arrays_that_lay_on_a_gpu():
    kind = struct.pack("<iii", 2, 1, 0)
    np.testing.assert_array_equal(parse_params(whole(HEADS["v2"], kind), "f")["arg:w"], VALUES)


def test_no_arrays(tmp_path):
    write_params(tmp_path / "p", {})
    assert read_params(tmp_path / "p") == {}


SOUND = HEADS["v2"] + CPU_FLOAT + VALUES.tobytes()


def dense(ndim, *dimensions, magic=V2, storage=0):
    """Return the head of an array in today's forms."""
    return struct.pack(f"<Iii{len(dimensions)}q", magic, storage, ndim, *dimensions)


DAMAGED = {
    "name_no_utf8": (file_of(SOUND, b"arg:\xff"), "f: .*at byte 104 of 109 .*a name in UTF-8"),
    "more_at_the_end": (file_of(SOUND) + b"x", "byte 109 of 110 expected the end, not 1 more"),
    "huge_count": (file_of(b"", count=1 << 60), "byte 16 of .*no more arrays than fit the file"),
    "name_twice": (
        file_of(SOUND + SOUND, count=2) + struct.pack("<Q", 5) + b"arg:w",
        "another name than 'arg:w', which is taken",
    ),
    "bool": (whole(HEADS["v2"], struct.pack("<iii", 1, 0, 7)), "an array of bool at byte"),
    "bfloat16": (whole(HEADS["v2"], struct.pack("<iii", 1, 0, 12)), "an array of bfloat16 at"),
    "type": (whole(HEADS["v2"], struct.pack("<iii", 1, 0, 99)), r"expected a type flag 0\.\.6"),
    "device": (whole(HEADS["v2"], struct.pack("<iii", 9, 0, 0)), r"device type of \[1, 2, 3, 5\]"),
    "row_sparse": (whole(dense(2, 2, 3, storage=1)), "the sparse form row_sparse at byte 28"),
    "csr": (whole(dense(2, 2, 3, storage=2)), "the sparse form csr"),
    "storage": (whole(dense(2, 2, 3, storage=7)), r"storage type 0 \(dense\)"),
    "ndim": (whole(dense(-1, 2, 3)), r"byte 32 .*an array of 1\.\.32 dimensions"),
    "none": (whole(dense(0)), r"an array of 1\.\.32 dimensions"),
    "numpy_none": (whole(dense(-1, magic=V3)), r"an array of 0\.\.32 dimensions"),
    "negative": (whole(dense(2, -2, -3)), r"dimensions of 0 or more, not \(-2, -3\)"),
    "overflow": (whole(dense(2, 1 << 33, 1 << 33)), "expected 295147905179352825856 bytes"),
    "huge_empty": (whole(dense(3, 1 << 62, 1 << 62, 0, magic=V3)), "a shape that numpy can hold"),
    "reserved": (struct.pack("<QQQ", 0x112, 1, 0), "byte 8 of 24 expected 0"),
    "magic": (struct.pack("<QQQ", 0x113, 0, 0), "byte 0 of 24 expected 0x112"),
    "nameless": (
        file_of(SOUND)[:-21] + struct.pack("<Q", 0),
        "its arrays have no names, so this is no checkpoint",
    ),
    "huge_name": (
        file_of(SOUND)[:-13] + struct.pack("<Q", 8 << 30) + b"arg:w",
        "byte 104 of 109 expected 8589934592 bytes, a name",
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_named(kind):
    data, message = DAMAGED[kind]
    with pytest.raises(ValueError, match=message):
        parse_params(data, "f")


def small_file(tmp_path, arrays):
    write_params(tmp_path / "p", arrays)
    return (tmp_path / "p").read_bytes()


def test_every_truncation(tmp_path, arrays):
    data = small_file(tmp_path, arrays)
    for length in range(len(data)):
        with pytest.raises(ValueError, match="truncated or something else; copy it again"):
            parse_params(data[:length], "f")


def test_flipped_bytes_give_values_or_a_message(tmp_path, arrays):
    """20,000 files of one wrong byte each; a flip among the values alone goes unnoticed."""
    few = {name: arrays[name] for name in ("arg:w", "aux:m", "arg:h")}
    data, rng = small_file(tmp_path, few), np.random.default_rng(0)
    refused = 0
    for place, byte in zip(rng.integers(len(data), size=20_000), rng.bytes(20_000), strict=True):
        flipped = bytearray(data)
        flipped[place] = byte
        try:
            parse_params(bytes(flipped), "f")
        except ValueError as error:
            assert str(error).startswith("f: ")
            refused += 1
    assert 5_000 < refused < 19_000


def test_a_huge_name_costs_no_memory(tmp_path):
    """The name of 8 GiB of a damaged file: refused where only 1 GiB can be had."""
    (tmp_path / "p").write_bytes(DAMAGED["huge_name"][0])
    code = (
        "import resource, sys\n"
        "from arcface_mxnet.checkpoints.params import read_params\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try: read_params(sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
        "assert 'mxnet' not in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "p")], capture_output=True, text=True
    )
    assert "expected 8589934592 bytes, a name" in run.stdout, run.stderr


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no parameter file .*absent"):
        read_params(tmp_path / "absent")


def test_what_the_file_cannot_hold(tmp_path):
    for value in (np.ones(3, bool), np.ones(3, np.int16), np.float32(3)):
        with pytest.raises(ValueError, match="the file can hold float32, float64, float16"):
            write_params(tmp_path / "p", {"arg:w": value})
    assert not list(tmp_path.iterdir())


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    write_params(tmp_path / "p", {"arg:w": np.ones(3, np.float32)})
    before = (tmp_path / "p").read_bytes()

    def full(values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(params, "_array_header", full)
    with pytest.raises(OSError, match=r"No space left.*untouched"):
        write_params(tmp_path / "p", {"arg:w": np.zeros(3, np.float32)})
    assert (tmp_path / "p").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_kinds_of_parameters():
    arrays = {"arg:a:b": 1, "aux:c": 2, "state:d": 3, "e": 4}
    assert split_params(arrays) == ({"a:b": 1}, {"c": 2})
    assert named_params({"a:b": 1}, {"c": 2}) == {"arg:a:b": 1, "aux:c": 2}

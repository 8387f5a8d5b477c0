"""The pickle of a pair set costs what its file has, whatever it says, and messages stay short."""

import pickle
import re
import resource
import struct

from arcface_mxnet.eval import pair_pickle, repack_pairs
from arcface_mxnet.eval.pair_pickle import load_pair_pickle
from arcface_mxnet.eval.pair_sets import read_pair_set
from arcface_mxnet.eval.pickled_names import ArrayBytes, ForbiddenPickle
import cv2
import numpy as np
import pytest

IMAGES = [bytes(range(256)), b"\n'\\\" \xff", b"", b"x" * 70_000]
FLAGS = [True, False]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("number", [int, bool, np.bool_, np.int64, np.uint8])
def test_what_python_writes_is_read(protocol, number):
    content = IMAGES, [number(flag) for flag in FLAGS]
    images, flags = load_pair_pickle(pickle.dumps(content, protocol=protocol))
    assert [bytes(image) for image in images] == IMAGES and flags == FLAGS
    assert load_pair_pickle(pickle.dumps([(1, [None, -5, 70_000]), "é\n"], protocol)) == [
        (1, [None, -5, 70_000]),
        "é\n",
    ]


def test_strings_of_python_2_in_protocol_0():
    """As pickle.dumps(["a\\xff'", 'it\\'s', 7L, True]) of Python 2.7 writes them."""
    data = b'(lp0\nS"a\\xff\'"\np1\naS"it\'s"\np2\naL7L\naI01\na.'
    assert load_pair_pickle(data) == [b"a\xff'", b"it's", 7, True]


@pytest.mark.parametrize("kind", ["bool", "uint8", "int8", "int32", "int64"])
def test_flags_in_arrays_of_any_whole_number(tmp_path, kind):
    path = tmp_path / "a.bin"
    path.write_bytes(pickle.dumps(([b"a", b"b", b"c", b"d"], np.array([1, 0], kind)), 2))
    assert read_pair_set(path).is_genuine.tolist() == FLAGS
    path.write_bytes(pickle.dumps(([b"a", b"b", b"c", b"d"], np.array([1, 2], "i4")), 2))
    with pytest.raises(ValueError, match="flag is 2; it must"):
        read_pair_set(path)


def test_pixels_are_no_encoded_image(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(pickle.dumps(([np.zeros((4, 5, 3), np.uint8)] * 2, [True]), 2))
    with pytest.raises(ValueError, match=r"image 0 is an array of pixels \(4, 5, 3\), not an enc"):
        read_pair_set(path)
    path.write_bytes(pickle.dumps(([np.zeros(4, ">i4")] * 2, [True]), 2))
    with pytest.raises(ValueError, match="array of type 'i4'"):
        read_pair_set(path)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 31) + b"x.", "2147483648 bytes are announced"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 63) + b"x.", "9223372036854775808 bytes are"),
        (b"\x80\x03B\xff\xff\xff\x7f.", "2147483647 bytes are announced, 1 follow"),
        (b"\x80\x02T\xff\xff\xff\xff.", "-1 bytes are announced"),
        (b"\x80\x02X\xff\xff\xff\xff.", "bytes are announced"),
        (b"\x80\x02J\x00.", "4 bytes are announced, 2 follow"),
        (b"I" + b"9" * 5000 + b"\n.", "does not end within 24 bytes"),
        (b"\x8a\xff" + b"9" * 255 + b".", "a number of 255 bytes"),
        (b"I1\n\xffh.", "0xff is no opcode"),
        (b"\x80\x02h\x07.", "KeyError: 7"),
        (b"(((.", "pop from empty list"),
        (b"]K\x01(K\x02e.", "items are appended to 1"),
        (b"\x80\x02e.", "pop from empty list"),
        (b"K\x01(0te.", "a mark without its stack"),
        (b"\x86.", "a tuple of more than there is"),
        (b"\x80\x04]" * 3, "it ends without an end"),
        (b"S'a\n.", "without quotes"),
        (b"S'\\u1234'\n.", "text that does not decode"),
        (b"Vx", "a line does not end"),
        (b"\x80\x02X\x01\x00\x00\x00\xff.", "text that does not decode"),
        (b"\x80\x02c__builtin__\nbytes\nK\x09\x85R.", "takes 0 positional arguments"),
        (b"p99999999999999999999999999\n.", "does not end within 24"),
    ],
)
def test_damage_is_told_with_its_byte(data, reason):
    before = peak()
    with pytest.raises(ValueError, match=f"^at byte [0-9]+: .*{reason}") as caught:
        load_pair_pickle(data)
    assert len(str(caught.value)) < 300
    assert peak() - before < 50_000_000


def test_messages_do_not_grow_with_nested_lists(tmp_path):
    """Each list holds the one before it twice: written out it would have 2**60 items."""
    nested = b"\x80\x02]q\x00"
    for level in range(60):
        nested += b"](h%ch%ceq%c" % (level, level, level + 1)
    path = tmp_path / "a.bin"
    for tail in (b".", b"](e\x86.", b"h\x00\x86.", b"cnumpy\ndtype\nh<\x85Rh<b.", b"h<b.",
                 b"c_codecs\nencode\nX\x01\0\0\0ah<\x86R.", b"h<h<\x93."):  # fmt: skip
        path.write_bytes(nested + tail)
        with pytest.raises(ValueError, match=r"a\.bin: (refused|not a pair set)") as caught:
            read_pair_set(path)
        assert len(str(caught.value)) < 500


def test_one_array_named_many_times_is_held_once(tmp_path):
    size, times = 1_000_000, 3000
    data = b"\x80\x05](\x96" + struct.pack("<Q", size) + bytes(size) + b"q\x00"
    data += b"h\x00" * (times - 1) + b"e](" + b"\x88" * (times // 2) + b"e\x86."
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    before = peak()
    assert len(read_pair_set(path).images) == times
    assert peak() - before < 50_000_000


def test_one_text_is_not_encoded_many_times():
    size = 1_000_000
    data = b"\x80\x02X" + struct.pack("<I", size) + b"x" * size + b"q\x000"
    data += b"c_codecs\nencode\nh\x00X\x06\0\0\0latin1\x86R0" * 3000 + b"N."
    before = peak()
    with pytest.raises(ValueError, match="text is encoded of"):
        load_pair_pickle(data)
    assert peak() - before < 50_000_000


def test_opcodes_are_counted(monkeypatch):
    monkeypatch.setattr(pair_pickle, "MOST_OPCODES", 1000)
    with pytest.raises(ValueError, match="more than 1000 opcodes"):
        load_pair_pickle(b"]" * 2000)


def test_an_array_is_what_its_shape_says():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = load_pair_pickle(pickle.dumps(array, 2))
    assert isinstance(found, ArrayBytes)
    assert (found.payload, found.kind, found.shape) == (array.tobytes(), "u1", (3, 4))
    data = pickle.dumps(array, 2).replace(b"K\x03K\x04", b"K\x03K\x05")
    with pytest.raises(ValueError, match=r"an array \(3, 5\) of u1 with 12 bytes"):
        load_pair_pickle(data)


def test_every_truncation_and_flip_is_data_or_a_value_error():
    rng = np.random.default_rng(0)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        arrays = [np.arange(9, dtype=np.uint8), b"image", np.bool_(True)]
        whole = pickle.dumps((arrays, [True, 1]), protocol=protocol)
        cases = [whole[:size] for size in range(len(whole))]
        for place in range(len(whole)):
            cases.append(whole[:place] + rng.bytes(1) + whole[place + 1 :])
        for case in cases:
            try:
                load_pair_pickle(case)
            except ForbiddenPickle as error:
                assert len(str(error)) < 500
            except ValueError as error:
                assert str(error).startswith("at byte ") and len(str(error)) < 300


def kept(tmp_path, images, flags, protocol=2):
    path = tmp_path / "kept.bin"
    path.write_bytes(pickle.dumps((images, flags), protocol))
    return read_pair_set(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda images: [bytearray(image) for image in images],
        lambda images: [np.bytes_(image) for image in images],
        lambda images: [np.frombuffer(image, np.uint8) for image in images],
        lambda images: [np.frombuffer(image, np.uint8)[None] for image in images],
        np.array,
        lambda images: np.array(images, dtype=object),
    ],
    ids=["bytes", "bytearray", "bytes_", "array", "row", "S array", "objects"],
)
def test_byte_strings_of_every_kind_and_protocol(tmp_path, protocol, form):
    images = [bytes(range(number, 256)) + b"\xff\xd9" for number in range(4)]
    flags = np.array([True, False])
    for many in (list(flags), flags, flags.astype(object), flags.astype(np.int64), [1, 0]):
        pair_set = kept(tmp_path, form(images), many, protocol)
        assert list(pair_set.images) == images and pair_set.is_genuine.tolist() == FLAGS


def test_bytearrays_as_python_2_writes_them():
    """As pickle.dumps(bytearray(b"a\\xff"), 2) of Python 2.7 does."""
    data = (
        b"\x80\x02c__builtin__\nbytearray\nX\x03\x00\x00\x00a\xc3\xbfX\x07\x00\x00\x00latin-1\x86R."
    )
    assert load_pair_pickle(data) == b"a\xff"
    assert load_pair_pickle(b"c__builtin__\nbytearray\n)R.") == b""
    with pytest.raises(ValueError, match="_codecs.encode to 'zip'"):
        load_pair_pickle(data.replace(b"\x07\x00\x00\x00latin-1", b"\x03\x00\x00\x00zip"))
    with pytest.raises(ValueError):
        load_pair_pickle(b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.")  # 2 GB of zeros
    many = b"\x80\x02]q\x00X\xe8\x03\x00\x00" + b"x" * 1000 + b"q\x01X\x06\x00\x00\x00latin1q\x020"
    many += b"0" + b"h\x00c__builtin__\nbytearray\nh\x01h\x02\x86Ra0" * 50 + b"h\x00."
    with pytest.raises(ValueError, match="text is encoded of"):
        load_pair_pickle(many)


def test_strings_shorter_than_images_are_not_made_many(tmp_path):
    with pytest.raises(ValueError, match="an array of S1 with 1000 bytes"):
        kept(tmp_path, np.full(1000, b"x"), [True] * 500)


@pytest.mark.parametrize("pixels", [np.float32, np.uint8, np.int64])
@pytest.mark.parametrize("whole", [list, np.array], ids=["list", "one array"])
def test_decoded_arrays_are_said_and_encoded_when_asked(tmp_path, capsys, pixels, whole):
    rng = np.random.default_rng(0)
    bgr = [rng.integers(0, 256, (9, 8, 3)).astype(pixels) for _ in range(4)]
    path, mine = tmp_path / "theirs.bin", tmp_path / "mine.bin"
    for form in (lambda image: image, lambda image: image.transpose(2, 0, 1), np.asfortranarray):
        path.write_bytes(pickle.dumps((whole([form(image) for image in bgr]), FLAGS), 4))
        with pytest.raises(ValueError, match="array of pixels .* as 4 of 4 are.*--array-color"):
            read_pair_set(path)
        for color in ("bgr", "rgb"):
            assert repack_pairs.main([str(path), str(mine), "--array-color", color]) == 0
            assert f"4 of 4 images were {color} arrays" in capsys.readouterr().out
            for decoded, image in zip(read_pair_set(mine).decoded(), bgr, strict=True):
                assert np.array_equal(decoded, image[..., ::-1] if color == "bgr" else image)
    assert read_pair_set(mine).is_genuine.tolist() == FLAGS


def test_grey_arrays_and_encoded_images_beside_arrays(tmp_path, capsys):
    path, mine = tmp_path / "theirs.bin", tmp_path / "mine.bin"
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    encoded = cv2.imencode(".bmp", np.zeros((3, 4, 3), np.uint8))[1]
    path.write_bytes(pickle.dumps(([grey, encoded], [True]), 4))
    assert repack_pairs.main([str(path), str(mine), "--array-color", "rgb"]) == 0
    assert "1 of 2 images were" in capsys.readouterr().out
    pair_set = read_pair_set(mine)
    assert pair_set.images[1] == encoded.tobytes()
    assert (next(pair_set.decoded()) == grey[..., None]).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((2, 2, 3), 0.5, np.float32), "float32 from 0.5 to 0.5; whole numbers from 0"),
        (np.full((2, 2, 3), -1, np.int64), "int64 from -1 to -1"),
        (np.full((2, 2, 3), np.nan, np.float32), "float32 from nan"),
        (np.zeros((2, 2, 4), np.uint8), r"an array \(2, 2, 4\)"),
        (np.zeros((2, 0, 3), np.uint8), "an empty array"),
    ],
)
def test_arrays_that_are_no_pictures(tmp_path, capsys, image, message):
    path = tmp_path / "theirs.bin"
    path.write_bytes(pickle.dumps(([image] * 2, [True]), 4))
    mine = tmp_path / "mine.bin"
    assert repack_pairs.main([str(path), str(mine), "--array-color", "rgb"]) == 2
    assert re.search(message, capsys.readouterr().err) and not mine.exists()


def test_a_set_without_arrays_needs_no_repacking(tmp_path, capsys):
    path = tmp_path / "theirs.bin"
    path.write_bytes(pickle.dumps(([b"a", b"b"], [True]), 4))
    assert repack_pairs.main([str(path), str(tmp_path / "m.bin"), "--array-color", "rgb"]) == 2
    assert "all 2 images are encoded" in capsys.readouterr().err

"""Pair sets: the published packs are read as data, and hostile ones are refused."""

import pickle
import pickletools

from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
import cv2
import numpy as np
import pytest


def jpeg(value=100, size=(112, 112)):
    """Return an encoded image of one grey value."""
    return cv2.imencode(".jpg", np.full((*size, 3), value, np.uint8))[1].tobytes()


def write(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def python2_pickle(images, flags):
    """Return the bytes that Python 2 writes: images as str (BINSTRING)."""
    body = b"\x80\x02]("
    for image in images:
        body += b"T" + len(image).to_bytes(4, "little") + image
    return body + b"e](" + b"".join(b"\x88" if flag else b"\x89" for flag in flags) + b"e\x86."


def test_packs_of_the_original_packer_are_alike(shared_data):
    new = read_pair_set(shared_data / "original_records/lfw.bin")
    old = read_pair_set(shared_data / "original_records/lfw_py2.bin")
    assert len(new) == 120
    assert new.is_genuine.sum() == 60
    assert new.images == old.images
    assert np.array_equal(new.is_genuine, old.is_genuine)
    assert next(new.decoded()).shape == (112, 112, 3)


def test_written_packs_are_read_by_the_published_reader(tmp_path):
    images = [jpeg(10 * number) for number in range(4)]
    write_pair_set(tmp_path / "a.bin", PairSet(images, np.array([True, False])))
    raw = (tmp_path / "a.bin").read_bytes()
    for reader in ({"encoding": "bytes"}, {}):  # Python 3 with and without what Python 2 needs
        assert pickle.loads(raw, **reader) == (images, [True, False])
    assert raw[:2] == b"\x80\x02"
    assert read_pair_set(tmp_path / "a.bin").images == images
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_golden_bytes_of_python_2(tmp_path):
    images = [b"left \xff\xfe", b"right"]
    (tmp_path / "a.bin").write_bytes(python2_pickle(images, [True]))
    assert read_pair_set(tmp_path / "a.bin").images == images


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_images_as_uint8_arrays(tmp_path, protocol):
    images = [jpeg(0), jpeg(200)]
    arrays = [np.frombuffer(image, np.uint8)[:, None].copy() for image in images]
    pair_set = read_pair_set(write(tmp_path / "a.bin", (arrays, [True]), protocol))
    assert pair_set.images == images


def test_flags_as_array_and_numbers(tmp_path):
    images = [jpeg(), jpeg()] * 2
    flags = np.array([True, False])
    assert read_pair_set(write(tmp_path / "a.bin", (images, flags))).is_genuine.tolist() == [
        True,
        False,
    ]
    assert read_pair_set(write(tmp_path / "b.bin", (images, [1, 0]))).is_genuine.tolist() == [
        True,
        False,
    ]


def test_names_travel_beside(tmp_path):
    images = [jpeg()] * 4
    pair_set = PairSet(images, [True, False], ["a", "a", "a", "b"], ["1", "2", "3", "4"])
    write_pair_set(tmp_path / "a.bin", pair_set)
    again = read_pair_set(tmp_path / "a.bin")
    assert (again.identities, again.paths) == (pair_set.identities, pair_set.paths)
    write_pair_set(tmp_path / "a.bin", PairSet(images, [True, False]))
    assert not (tmp_path / "a.pairs.tsv").exists()  # names of the old pack do not stay
    (tmp_path / "a.pairs.tsv").write_text("a\t1\n")
    with pytest.raises(ValueError, match="must have 4 lines"):
        read_pair_set(tmp_path / "a.bin")


class Caller:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def opcodes(data):
    return {opcode.name for opcode, _, _ in pickletools.genops(data)}


TOUCH = "touch hostile"
HOSTILE = {
    # Each has the opcode that it is named after, and would run or build something.
    "GLOBAL": b"\x80\x02cos\nsystem\n(S'" + TOUCH.encode() + b"'\ntR.",
    "STACK_GLOBAL": pickle.dumps(Caller(__import__("os").system, TOUCH), protocol=4),
    "INST": b"(S'" + TOUCH.encode() + b"'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'" + TOUCH.encode() + b"'\no.",
    "NEWOBJ": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "NEWOBJ_EX": b"\x80\x04cnumpy\nndarray\n)}\x92.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT2": b"\x80\x02\x83\x01\x00.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "PERSID": b"Pname\n.",
    "BINPERSID": b"\x80\x02U\x01aQ.",
    "BUILD": b"\x80\x02]}b.",
    "REDUCE": b"\x80\x02cnumpy\nndarray\n)R.",
    "EMPTY_DICT": b"\x80\x02}.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("opcode", HOSTILE)
def test_whatever_could_call_is_refused(tmp_path, monkeypatch, opcode):
    monkeypatch.chdir(tmp_path)
    data = HOSTILE[opcode]
    assert opcode in opcodes(data)
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.bin: refused: .*may be hostile"):
        read_pair_set(tmp_path / "a.bin")
    assert not (tmp_path / "hostile").exists()


def test_the_message_names_what_the_file_wanted(tmp_path):
    with pytest.raises(ValueError, match=r"the name \w+\.system"):
        read_pair_set(write(tmp_path / "a.bin", [Caller(__import__("os").system, TOUCH)]))
    with pytest.raises(ValueError, match="_codecs.encode to 'zip'"):
        read_pair_set(write(tmp_path / "a.bin", [Caller(__import__("_codecs").encode, "x", "zip")]))
    with pytest.raises(ValueError, match="array of type 'O8'"):
        read_pair_set(write(tmp_path / "a.bin", [np.array([None])]))


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\xff\xd8\xff", b"\x80\x02](", b"\x80\x09.", b"\x80\x02T\xff\xff\xff\x7fx"],
)
def test_damage_is_said_once(tmp_path, data):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.bin: not a pair set .*fetch or pack it again"):
        read_pair_set(tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (([b"1", b"2", b"3"], [True]), "3 images: an odd number"),
        (([b"1", b"2"], [True, False]), "2 images form 1 pairs, but there are 2 "),
        (([], []), "the pair set is empty"),
        (([b"1", None], [True]), "image 1 is None, not"),
        (([b"1", b"2"], ["yes"]), "flag is 'yes'"),
        ([b"1", b"2", b"3"], "not a pair set: too many values"),
        (7, "not a pair set"),
    ],
)
def test_content_that_is_no_pair_set(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_pair_set(write(tmp_path / "a.bin", content, protocol=4))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lfw\.bin: no such pair set"):
        read_pair_set(tmp_path / "lfw.bin")


def test_an_image_that_does_not_decode_names_its_pair():
    with pytest.raises(ValueError, match="pair 1, right image"):
        list(PairSet([jpeg(), jpeg(), jpeg(), b"junk"], [True, False]).decoded())
    pair_set = PairSet([b"", jpeg()], [True], paths=["x/1.jpg", "x/2.jpg"])
    with pytest.raises(ValueError, match=r"pair 0, left image \(x/1\.jpg\)"):
        list(pair_set.decoded())


def test_images_of_several_sizes():
    pair_set = PairSet([jpeg(), jpeg(size=(112, 96))], [True])
    with pytest.raises(ValueError, match=r"pair 0, right image is 112x96, .* 112x112"):
        list(pair_set.decoded())
    assert [
        rgb.shape for rgb in PairSet([jpeg(), jpeg(size=(80, 80))], [True]).decoded((112, 112))
    ] == [(112, 112, 3)] * 2


def test_decoded_is_rgb():
    red = cv2.imencode(".png", np.full((8, 8, 3), (0, 0, 255), np.uint8))[1].tobytes()
    assert next(PairSet([red, red], [True]).decoded())[0, 0].tolist() == [255, 0, 0]


def test_equal_images_are_told_once():
    pairs = PairSet([b"a", b"b", b"c", b"a", b"b", b"b"], np.array([True, False, True]))
    numbers, rows = pairs.distinct()
    assert numbers.tolist() == [0, 1, 2]
    assert rows.tolist() == [0, 1, 2, 0, 1, 1]
    assert [pairs.images[numbers[row]] for row in rows] == list(pairs.images)


@pytest.mark.parametrize(
    "name",
    ["a\tb", "a\nb", "a\rb", "a\u2028b", "a\x85b", '"a"', '"', "a\\tb", "\udcff", "", " a ", "ü"],
)
def test_every_name_comes_back(tmp_path, name):
    paths = [name, "1.png", "2.png", name]
    images = [jpeg(number) for number in range(4)]
    write_pair_set(tmp_path / "a.bin", PairSet(images, np.array([True, False]), (), paths))
    assert read_pair_set(tmp_path / "a.bin").paths == paths
    text = (tmp_path / "a.pairs.tsv").read_bytes().decode("utf-8", "surrogateescape")
    assert len(text.splitlines()) == 4


def test_names_of_earlier_versions_come_back(tmp_path):
    write_pair_set(tmp_path / "a.bin", PairSet([jpeg(0), jpeg(1)], np.array([True])))
    (tmp_path / "a.pairs.tsv").write_text('"Bob\t0.png\nann\ta\u2028b\\n.png\n')
    found = read_pair_set(tmp_path / "a.bin")
    assert found.identities == ['"Bob', "ann"]
    assert found.paths == ["0.png", "a\u2028b\\n.png"]


def test_an_image_larger_than_any_crop_is_not_decoded():
    large = cv2.imencode(".png", np.zeros((2100, 2100), np.uint8))[1].tobytes()
    pairs = PairSet([large, large], np.array([True]))
    with pytest.raises(ValueError, match="4410000|pixels"):
        next(pairs.decoded())


def test_names_of_another_set_are_refused(tmp_path):
    flags = np.array([True, False] * 10)
    people = [
        name for pair in range(20) for name in (f"p{pair}", f"p{pair if flags[pair] else 99}")
    ]
    images = [jpeg(size=(2, 2))] * 40
    write_pair_set(tmp_path / "a.bin", PairSet(images, flags, people))
    one_wrong = ["else", *people[1:]]
    write_pair_set(tmp_path / "b.bin", PairSet(images, flags, one_wrong))
    assert read_pair_set(tmp_path / "b.bin").identities == one_wrong
    write_pair_set(tmp_path / "c.bin", PairSet(images, ~flags, people[::-1]))
    (tmp_path / "c.pairs.tsv").write_bytes((tmp_path / "a.pairs.tsv").read_bytes())
    words = "c.pairs.tsv names two identities for 10 of 10 genuine pairs; remove it if"
    with pytest.raises(ValueError, match=words):
        read_pair_set(tmp_path / "c.bin")

"""Columns of a pair set: written, read, refused, and taken over from lists."""

from arcface_mxnet.align.face import Face
from arcface_mxnet.align.template import template
from arcface_mxnet.eval import pack_pairs
from arcface_mxnet.eval.folder_pairs import ListedPair
from arcface_mxnet.eval.pack_pairs import main, to_pair_set
from arcface_mxnet.eval.pair_columns import column_lines, read_columns
from arcface_mxnet.eval.pair_lists import read_flagged
from arcface_mxnet.eval.pair_sets import PairSet, read_pair_set, write_pair_set
import cv2
import numpy as np
import pytest


def test_written_and_read(tmp_path):
    columns = {"age": ["30", "", "41"], "failed": ["", "left", ""]}
    images = [bytes([number]) for number in range(6)]
    write_pair_set(tmp_path / "a.bin", PairSet(images, [True, False, True], columns=columns))
    text = (tmp_path / "a.columns.tsv").read_text()
    assert text == "age\tfailed\n30\t\n\tleft\n41\t\n"
    assert read_pair_set(tmp_path / "a.bin").columns == columns
    write_pair_set(tmp_path / "a.bin", PairSet(images, [True, False, True]))
    assert not (tmp_path / "a.columns.tsv").exists()  # of the old pack
    assert read_pair_set(tmp_path / "a.bin").columns == {}


def test_a_single_column_may_be_empty_for_some(tmp_path):
    path = tmp_path / "a.columns.tsv"
    path.write_text("age\n30\n\n41\n")
    assert read_columns(path, 3) == {"age": ["30", "", "41"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line names the columns"),
        ("age\n1\n", "has 1 lines after the first, .* the set has 2 pairs"),
        ("age\tage\n1\t2\n3\t4\n", "line 1: two columns are called 'age'"),
        ("age\t\n1\t2\n3\t4\n", "line 1: '' is no name of a column"),
        ("age\n1\n2\t3\n", "line 3: 2 fields; the first line names 1 columns"),
    ],
)
def test_damaged_columns(tmp_path, text, message):
    path = tmp_path / "a.columns.tsv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_columns(path, 2)


def test_fields_that_a_line_cannot_hold():
    with pytest.raises(ValueError, match="no TAB"):
        list(column_lines({"age": ["1\t2"]}))
    with pytest.raises(ValueError, match="1 values for 2 pairs"):
        PairSet([b""] * 4, [True, False], columns={"age": ["1"]})


def test_parts_keep_what_belongs_to_their_pairs():
    names = ["a", "b", "c", "d", "e", "f"]
    whole = PairSet([b"0", b"1", b"2", b"3", b"4", b"5"], [True, False, True], names, (),
                    {"age": ["x", "y", "z"]})  # fmt: skip
    part = whole.part(np.array([True, False, True]))
    assert part.images == [b"0", b"1", b"4", b"5"] and part.is_genuine.tolist() == [True, True]
    assert part.identities == ["a", "b", "e", "f"] and part.columns == {"age": ["x", "z"]}


def test_a_list_with_columns(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("path1\tpath2\tgenuine\tage\tsex\na\tb\t1\t30\tf\nc\td\t0\t\tm\ne\tf\t0\n")
    pairs = read_flagged(path, tmp_path)
    assert [pair.is_genuine for pair in pairs] == [True, False, False]
    assert [dict(pair.columns) for pair in pairs] == [
        {"age": "30", "sex": "f"}, {"age": "", "sex": "m"}, {"age": "", "sex": ""},
    ]  # fmt: skip
    path.write_text("path1\tpath2\tgenuine\tage\na\tb\t1\t30\t7\n")
    with pytest.raises(ValueError, match="line 2: 5 fields; the first line names 4 columns"):
        read_flagged(path, tmp_path)
    path.write_text("path1\tpath2\tgenuine\tage\na\t\t1\t30\n")
    with pytest.raises(ValueError, match=r"line 2: expected `path1 path2 0\|1 \.\.`"):
        read_flagged(path, tmp_path)
    path.write_text("a b 1\nc\td\t0\n")
    assert [pair.columns for pair in read_flagged(path, tmp_path)] == [(), ()]


def test_columns_are_packed(tmp_path):
    for name in "abcd":
        image = np.full((112, 112, 3), ord(name), np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    (tmp_path / "pairs.txt").write_text(
        "path1\tpath2\tgenuine\tage\na.png\tb.png\t1\t30\nc.png\td.png\t0\t\n"
    )
    output = tmp_path / "mine.bin"
    assert main(["list", "--data-dir", str(tmp_path), "--output", str(output)]) == 0
    assert read_pair_set(output).columns == {"age": ["30", ""]}


def test_faces_that_were_not_found_are_told(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    pairs = [ListedPair(a, b, True), ListedPair(b, a, False), ListedPair(b, b, False)]
    pair_set = to_pair_set(pairs, {a: b"1", b: b"2"}, tmp_path, {b})
    assert pair_set.columns == {"failed": ["right", "left", "both"]}
    assert to_pair_set(pairs, {a: b"1", b: b"2"}, tmp_path, set()).columns == {"failed": [""] * 3}
    assert to_pair_set(pairs, {a: b"1", b: b"2"}, tmp_path).columns == {}
    named = [ListedPair(a, b, True, columns=(("failed", "left"),))]
    with pytest.raises(ValueError, match="column 'failed', which --align writes"):
        to_pair_set(named, {a: b"1", b: b"2"}, tmp_path, set())


class Half:
    """Finds a face, of known landmarks, in bright photos alone."""

    def detect(self, image):
        landmarks = template((112, 112)).astype(np.float32)
        box = np.array([0, 0, 112, 112], np.float32)
        return [Face(box, landmarks, 1.0)] if image.mean() > 99 else []

    detect_limited = detect


def test_the_packer_tells_where_it_found_no_face(tmp_path, monkeypatch, capsys):
    for name, grey in (("bright", 200), ("light", 210), ("dark", 50)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((140, 120, 3), grey, np.uint8))
    (tmp_path / "pairs.txt").write_text("bright.png dark.png 1\nbright.png light.png 0\n")
    monkeypatch.setattr(pack_pairs, "chosen_detector", lambda *_: Half())
    output = tmp_path / "mine.bin"
    words = ["list", "--data-dir", tmp_path, "--output", output, "--align", "mtcnn"]
    assert main(list(map(str, words))) == 0
    assert read_pair_set(output).columns == {"failed": ["right", ""]}
    assert "arcface-verify --failures says what becomes of them" in capsys.readouterr().out

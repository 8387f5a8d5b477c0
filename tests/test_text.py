"""Text as people have it is understood; what is no text is refused with file, line and byte."""

import codecs
import os

from arcface_mxnet.text import (
    LONGEST_LINE,
    WRITTEN,
    finite_number,
    read_json,
    read_lines,
    read_text,
    read_toml,
    whole_number,
)
import pytest

TEXT = "Zoë\tb.jpg\nc d\n"
AS_SAVED = {
    "plain": TEXT.encode(),
    "notepad": codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode(),
    "powershell": codecs.BOM_UTF16_LE + TEXT.replace("\n", "\r\n").encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "utf-32": codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
    "old mac": TEXT.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("data", AS_SAVED.values(), ids=AS_SAVED)
def test_one_text_however_it_was_saved(tmp_path, data):
    path = tmp_path / "list"
    path.write_bytes(data)
    assert read_text(path) == TEXT
    assert list(read_lines(path)) == [(1, "Zoë\tb.jpg"), (2, "c d")]


def test_blanks_at_line_ends_go_and_empty_lines_keep_their_number(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(b"a b \t\r\n\n  c\n")
    assert list(read_lines(path)) == [(1, "a b"), (3, "  c")]
    assert list(read_lines(path, exact=True)) == [(1, "a b \t"), (2, ""), (3, "  c")]


def test_only_line_ends_end_lines(tmp_path):
    path = tmp_path / "list"
    path.write_bytes("a\u2028b\x0bc\x85d\n".encode())
    assert list(read_lines(path)) == [(1, "a\u2028b\x0bc\x85d")]


def test_files_joined_with_their_marks(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(2 * (codecs.BOM_UTF8 + b"a\n"))
    assert [line for _, line in read_lines(path)] == ["a", "a"]


def test_names_that_are_not_utf8_come_out_as_they_went_in(tmp_path):
    path, name = tmp_path / "list", b"Zo\xeb.jpg"
    path.write_bytes(name + b"\n")
    assert [os.fsencode(line) for _, line in read_lines(path)] == [name]
    text = read_text(path, names=True)
    with path.open("w", **WRITTEN) as file:
        file.write(text)
    assert path.read_bytes() == name + b"\n"


def refused(read, *arguments):
    with pytest.raises(ValueError) as refusal:
        list(read(*arguments))
    assert type(refusal.value) is ValueError
    return str(refusal.value)


def test_what_is_no_text(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"one\ntwo\nth\xebee")
    assert refused(read_text, path) == (
        f"{path} line 3: byte 10 of the file, 0xeb, is not UTF-8 text; save it as UTF-8"
    )
    path.write_bytes(codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"\x00\xdc\x00")
    assert f"{path} line 2: byte 8 of the file" in refused(read_text, path)
    for read in (read_text, read_lines):
        path.write_bytes("ab\n".encode("utf-16-le"))
        assert f"{path} line 1: holds a zero byte" in refused(read, path)
        for other in (tmp_path, tmp_path / "none"):
            message = f"^no (list|text file) {other}(: that is a folder)?$"
            with pytest.raises(FileNotFoundError, match=message):
                list(read(other))


def test_limits(tmp_path):
    path = tmp_path / "long"
    path.write_bytes(b"a\n" + b"b" * (LONGEST_LINE + 1))
    assert f"{path} line 2: longer than 1048576 bytes: is it a list?" in refused(read_lines, path)
    with pytest.raises(ValueError, match="long: a note of 1048579 bytes; at most 9 are taken"):
        read_text(path, "note", limit=9)


def test_json(tmp_path):
    path = tmp_path / "list.json"
    path.write_bytes(codecs.BOM_UTF16_LE + '{"a": [1]}'.encode("utf-16-le"))
    assert read_json(path, "note") == {"a": [1]}
    for text, words in {
        "": "not a note: no JSON that can be read: line 1, column 1: Expecting value",
        "[" * 100_000: "it is nested too deeply",
        '{"a": 1, "b": 2, "a": 3}': "twice",
        "1" * 5000: "Exceeds the limit",
    }.items():
        path.write_text(text)
        message = refused(read_json, path, "note")
        assert message.startswith(f"{path}: not a note: ") and words in message


def test_toml(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(codecs.BOM_UTF8 + b"a = 1\r\n")
    assert read_toml(path, "note") == {"a": 1}
    begin = f"{path}: not a note: no TOML that can be read: "
    path.write_text("a = " + "[" * 100_000)
    assert refused(read_toml, path, "note") == begin + "it is nested too deeply"
    path.write_text("a = 1\nb = ")
    assert refused(read_toml, path, "note").startswith(begin + "Invalid value (at ")


def test_numbers():
    assert [whole_number(text, -5, 9) for text in ("-5", "+3", "09")] == [-5, 3, 9]
    for text in ("10", "-6", "1.0", "", " 1", "1_0", "٣", "0x1", "9" * 5000):
        with pytest.raises(ValueError, match=r"is no whole number from -5 to 9$"):
            whole_number(text, -5, 9)
    assert [finite_number(text) for text in ("1", "-.5", "2.", "1e-3")] == [1, -0.5, 2, 0.001]
    for text in ("nan", "inf", "1e999", "", "1_0", ".", "1e", "٣.٥", "1e" + "9" * 5000):
        with pytest.raises(ValueError, match="is no number$"):
            finite_number(text)

"""Foreign files within limits: size before reading, and messages that do not grow with the file."""

import os
import threading

from arcface_mxnet.limits import check_count, parse_json, read_limited, shown
import pytest


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "graph"
    path.write_bytes(b"12345")
    assert read_limited(path, 5, "graph") == b"12345"
    with pytest.raises(ValueError, match=r"graph: a graph of 5 bytes; at most 4 are taken"):
        read_limited(path, 4, "graph")


def test_a_large_file_is_not_read_to_be_refused(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="1099511627776 bytes"):
        read_limited(path, 1 << 20, "list")


def test_what_has_no_size_is_read_to_its_limit_and_no_further(tmp_path):
    with pytest.raises(ValueError, match="at most 100 are taken"):
        read_limited("/dev/zero", 100, "list")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"abc"))
    writer.start()
    assert read_limited(path, 3, "list") == b"abc"
    writer.join()


@pytest.mark.parametrize("name", ["none", ".", "file/below", "a\0b"])
def test_no_file_is_told_with_its_whole_path(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=f"no list .*{tmp_path}"):
        read_limited(tmp_path / name, 10, "list")


def test_json_is_data_and_nothing_else():
    assert parse_json(b"\xef\xbb\xbf[1, 2.5]", "f", "a list") == [1, 2.5]
    for text, reason in (
        (b"[" * 100_000, "nested too deeply"),
        (b"[\xff]", "byte 1 is no UTF-8"),
        (b"[1,", "line 1, column 4"),
        (b"[NaN]", "NaN is no number"),
        (b'{"a": 1, "a": 2}', "'a', .. twice"),
    ):
        with pytest.raises(ValueError, match=f"^f: not a list: .*{reason}"):
            parse_json(text, "f", "a list")


def test_a_message_does_not_grow_with_what_it_shows():
    nested = ["x"]
    for _ in range(60):
        nested = [nested, nested]
    assert shown(nested) == "a list of length 2"
    assert shown("a" * 1000) == repr("a" * 80) + ".. (1000 characters)"
    assert shown(b"\0" * 3) == repr(b"\0" * 3)
    assert shown(1 << 100_000) == "a number of 100001 bits"
    assert (shown(True), shown(None), shown(-7), shown(1.5)) == ("True", "None", "-7", "1.5")
    assert shown(object()) == "a object"
    with pytest.raises(ValueError, match=r"^it of a number of 5001 bits rows; at most 3"):
        check_count(1 << 5000, 3, "it", "rows")

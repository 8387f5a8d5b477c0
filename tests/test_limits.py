"""Foreign files within limits: size before reading, and messages that do not grow with the file."""

import os
import socket
import threading
import time

from arcface_mxnet import limits
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


def test_a_pipe_is_read_to_its_end_and_to_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write(data):
        thread = threading.Thread(target=lambda: path.write_bytes(data))
        thread.start()
        return thread

    writer = write(b"abc")
    assert read_limited(path, 3, "list") == b"abc"
    writer.join()
    writer = write(b"abcd")
    with pytest.raises(ValueError, match="pipe: a list of 4 bytes; at most 3 are taken"):
        read_limited(path, 3, "list")
    writer.join()
    monkeypatch.setattr(limits, "MOST_OF_A_PIPE", 10)
    writer = write(b"x" * 20)
    with pytest.raises(ValueError, match="a pipe with a list of 20 bytes or more; at most 10"):
        read_limited(path, 1 << 30, "list")
    writer.join()


def test_a_pipe_that_is_slow_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "PATIENCE", 0.05)
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write():
        with path.open("wb", buffering=0) as file:
            time.sleep(0.3)
            file.write(b"ab")
            time.sleep(0.3)
            file.write(b"cd")

    both = os.open(path, os.O_RDWR)  # so that the writer need not wait for a reader
    thread = threading.Thread(target=write)
    thread.start()
    threading.Timer(0.1, os.close, [both]).start()
    assert read_limited(path, 9, "list") == b"abcd"
    thread.join()


def test_what_is_no_file_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "PATIENCE", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: a pipe into which nobody writes a list"):
        read_limited(tmp_path / "pipe", 9, "list")
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match=f"{device}: is no list, but a device"):
            read_limited(device, 9, "list")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pytest.raises(ValueError, match="s: is no list, but a socket"):
            read_limited(tmp_path / "s", 9, "list")
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links") as caught:
        read_limited(tmp_path / "round", 9, "list")
    assert caught.value.filename


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

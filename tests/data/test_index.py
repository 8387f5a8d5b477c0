"""The index of records, a block at a time: where blocks cut, which line is bad, how often read."""

import hashlib
from pathlib import Path
import subprocess
import sys

from arcface_mxnet.data import index as module
from arcface_mxnet.data.dataset import FaceDataset
from arcface_mxnet.data.index import read_hashed_index, read_index
import numpy as np
import pytest

# Prints how much the process grew at most over reading an index, in MB.
GROWTH = """
import re, sys
def status(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
from arcface_mxnet.data.index import read_index
before = status("VmRSS")
keys, offsets = read_index(sys.argv[1])
print(len(keys), status("VmHWM") - before)
"""


@pytest.fixture(params=[1, 7, 64, 1 << 22])
def block(request, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", request.param)
    return request.param


def write(tmp_path, text):
    path = tmp_path / "a.idx"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("end", ["\n", "", "\n\n", "\n \n\n"])
@pytest.mark.parametrize("line", ["{}\t{}", "{} {}", " {}\t {} ", "{}\t{}\r", "{}\t{}\t"])
def test_numbers_of_every_form(tmp_path, block, line, end):
    rows = [(0, 0), (1, 40), (7, 80), (123456789012, 2**53 + 1), (5, 10**18 - 1)]
    text = "\n".join(line.format(*row) for row in rows) + end
    keys, offsets = read_index(write(tmp_path, text))
    assert list(zip(keys, offsets, strict=True)) == rows
    assert keys.dtype == offsets.dtype == np.int64


@pytest.mark.parametrize(
    "bad",
    ["x\t1", "1 2 3", "1", "", "1.5\t2", "1\t-2", "1\t2\t3", "0x1\t2", "9999999999999999999\t1",
     "1\t\0", "\t1", "1\t", "١\t2"],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 5, 9])
def test_a_bad_line_is_named_by_its_number(tmp_path, monkeypatch, bad, place):
    monkeypatch.setattr(module, "BLOCK", 64)
    rows = [f"{number}\t{40 * number}" for number in range(9)]
    rows.insert(place, bad)
    path = write(tmp_path, "\n".join([*rows, "100\t4000"]) + "\n")
    with pytest.raises(ValueError, match=rf"KEY<TAB>OFFSET: line {place + 1} is b'") as caught:
        read_index(path)
    assert f"line {place + 1} is {bad.encode()[:60]!r}; rebuild the index" in str(caught.value)


def test_two_bad_lines_do_not_make_good(tmp_path):
    with pytest.raises(ValueError, match=r"line 1 is b'1';"):
        read_index(write(tmp_path, "1\n2 3 4\n"))


@pytest.mark.parametrize("text", ["", "\n", "  \n\n"])
def test_nothing_is_no_index(tmp_path, text):
    with pytest.raises(ValueError, match=r"KEY<TAB>OFFSET: line \d is b''"):
        read_index(write(tmp_path, text))


def test_what_has_no_lines_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 100)
    path = write(tmp_path, "1\t2\n" + "7" * 10_000 + "\nx\n")
    read = []
    monkeypatch.setattr(module.hashlib, "sha256", lambda: type("", (), {"update": read.append}))
    with pytest.raises(ValueError, match=r"line 2 is b'7{60}'"):
        read_index(path)
    assert sum(map(len, read)) < 1300


def test_the_digest_is_that_of_the_bytes(tmp_path, block):
    text = "".join(f"{number}\t{40 * number}\n" for number in range(50))
    found = read_hashed_index(write(tmp_path, text)).digest
    assert found.hexdigest() == hashlib.sha256(text.encode()).hexdigest()


def test_a_dataset_reads_it_once(tmp_path, make_dataset, monkeypatch):
    folder = Path(make_dataset(tmp_path / "one", [0, 0, 1, 1]))
    opened = []
    open_file = module.open_file

    def spy(path, what):
        opened.append(Path(path).name)
        return open_file(path, what)

    monkeypatch.setattr(module, "open_file", spy)
    dataset = FaceDataset(folder)
    found = dataset.fingerprint()
    assert dataset.fingerprint() == found
    assert opened == ["train.idx"]
    whole = hashlib.sha256((folder / "train.idx").read_bytes())
    whole.update((folder / "property").read_bytes())
    whole.update(str((folder / "train.rec").stat().st_size).encode())
    assert found.split("-")[0] == whole.hexdigest()[:16], "as older last states have it"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_a_million_lines_take_40_bytes_each_at_most(tmp_path):
    path = tmp_path / "a.idx"
    with path.open("w") as file:
        file.writelines(f"{number}\t{12_000 * number}\n" for number in range(1_000_000))
    command = [sys.executable, "-c", GROWTH, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines, grown = map(float, done.stdout.split())
    assert lines == 1_000_000
    assert grown < 40 + 20  # MB; blocks, and what numpy needs once

"""What `compare` sees, file by file, and that the steps can be found; `make` is a command."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from tests.unchanged.__main__ import main
from tests.unchanged.comparing import compare
from tests.unchanged.making import HERE, ROOT, console_scripts, find, module_named
from tests.unchanged.steps import STEPS

RUN = {"config": {"lr": 0.1, "target": ["lfw"]}, "git": "abc", "versions": {"numpy": "1.26"}}
HTML = "<b>rate 99.25</b> <img src='data:image/png;base64,AB12+/=='>\n"


def params(**arrays):
    """Return the bytes of a parameter file of float32 arrays, and a record."""
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    record = json.dumps({"position": {"step": 4}, "seed": 727}).encode()
    arrays["run:json"] = np.frombuffer(record, np.uint8)
    data = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for array in arrays.values():
        kind = {"float32": 0, "uint8": 3}[array.dtype.name]
        data += struct.pack("<IiI", 0xF993FAC9, 0, array.ndim)
        data += struct.pack(f"<{array.ndim}q", *array.shape) + struct.pack("<iii", 1, 0, kind)
        data += array.tobytes()
    data += struct.pack("<Q", len(arrays))
    for name in arrays:
        data += struct.pack("<Q", len(name)) + name.encode()
    return data


def made(folder, **facts):
    """Write a small made folder and return it."""
    files = {
        "data/train.rec": b"records",
        "data/property": b"8,32,32\n",
        "train/m-0001.params": params(fc1=[[1, 2], [3, 4]], bias=[5]),
        "train/m-run.json": json.dumps(RUN).encode(),
        "train/m-metrics.csv": b"step,value\n1,0.25\n2,1e-05\n",
        "train/m-symbol.json": b'{"nodes": [1]}',
        "eval/report.html": HTML.encode(),
        "eval/list.json": json.dumps({"at": f"{folder}/x", "rates": [0.5, None]}).encode(),
        "stderr/train.txt": folder.name.encode(),
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    steps = {"train": {"fault": "", "seconds": 1.0}, "align": {"skipped": "no networks"}}
    told = {"folder": str(folder), "revision": folder.name, "script": "s", "python": "3.11",
            "processor": "p", "packages": {}, "steps": steps}  # fmt: skip
    (folder / "made.json").write_text(json.dumps(told | facts))
    return folder


@pytest.fixture
def both(tmp_path):
    return made(tmp_path / "before"), made(tmp_path / "after")


def names(result):
    return [one.name for one in result.differences]


def test_the_same_is_equal_wherever_it_lies(both, capsys):
    result = compare(*both)
    assert (names(result), result.num_files, result.num_steps) == ([], 8, 1)
    assert main(["compare", *map(str, both)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("1 steps, 8 files: all equal\n")
    assert "not compared: align (no networks)" in out


@pytest.mark.parametrize(
    ("file", "data", "expected"),
    [
        ("data/train.rec", b"recordz", "data/train.rec"),
        ("data/property", b"9,32,32\n", "data/property:line 1"),
        ("train/m-0001.params", params(fc1=[[1, 2], [3, 4.5]], bias=[5]),
         "train/m-0001.params:fc1"),
        ("train/m-0001.params", params(fc1=[[1, 2], [3, 4]], scale=[5]),
         "train/m-0001.params:bias"),
        ("train/m-0001.params", params(bias=[5], fc1=[[1, 2], [3, 4]]),
         "train/m-0001.params:order"),
        ("train/m-0001.params", params(fc1=[[1, 2], [3, 4]], bias=[5]).replace(b"727", b"728"),
         "train/m-0001.params:run:json.seed"),
        ("train/m-0001.params", b"no parameters", "train/m-0001.params"),
        ("train/m-run.json", json.dumps(RUN | {"config": {"lr": 0.2, "target": ["lfw"]}}).encode(),
         "train/m-run.json:config.lr"),
        ("train/m-run.json", json.dumps(RUN | {"more": 1}).encode(), "train/m-run.json:more"),
        ("train/m-metrics.csv", b"step,value\n1,0.250000001\n2,1e-05\n",
         "train/m-metrics.csv:line 2"),
        ("train/m-metrics.csv", b"step,value\n1,0.25\n", "train/m-metrics.csv:lines"),
        ("train/m-symbol.json", b'{"nodes":[1]}', "train/m-symbol.json"),
        ("eval/report.html", HTML.replace("99.25", "99.26").encode(), "eval/report.html:line 1"),
        ("eval/report.html", HTML.replace("rate", "RATE").encode(), "eval/report.html:line 1"),
        ("eval/report.html", HTML.replace("AB12", "AB21").encode(), "eval/report.html:line 1"),
        ("eval/list.json", b'{"at": "/elsewhere/x", "rates": [0.5, null]}', "eval/list.json:at"),
        ("eval/list.json", b'{"at": "FOLDER/x", "rates": [0.5, 0]}', "eval/list.json:rates[1]"),
        ("eval/list.json", b'{"at": "FOLDER/x", "rates": [0.5]}', "eval/list.json:rates"),
        ("eval/new.json", b"1", "eval/new.json"),
    ],
)  # fmt: skip
def test_every_kind_of_difference_has_a_name(both, file, data, expected, capsys):
    (both[1] / file).write_bytes(data)
    assert names(compare(*both))[0] == expected
    assert main(["compare", *map(str, both)]) == 1
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("train/m-run.json", json.dumps(RUN | {"git": "def", "versions": {"numpy": "2"}}).encode()),
        ("train/m-metrics.csv", b"step,value\n1,0.2500000000000001\n2,1.00000000000001e-05\n"),
        ("eval/report.html", HTML.replace("99.25", "99.25000000000001").encode()),
        ("eval/list.json", b'{"rates": [0.5000000000000001, null], "at": "FOLDER/x"}'),
        ("stderr/train.txt", b"other speeds"),
    ],
)  # fmt: skip
def test_what_does_not_count(both, file, data):
    (both[1] / file).write_bytes(data)
    assert compare(*both).is_equal


def test_large_numbers_to_a_share_of_themselves(both):
    for folder, value in zip(both, (1e6, 1e6 + 5e-7), strict=True):
        (folder / "eval/list.json").write_text(json.dumps([value]))
    assert compare(*both).is_equal
    (both[1] / "eval/list.json").write_text(json.dumps([1e6 + 5e-6]))
    assert names(compare(*both)) == ["eval/list.json:[0]"]


def test_a_difference_that_is_meant_is_listed_and_passes(both, capsys):
    (both[1] / "data/train.rec").write_bytes(b"new")
    (both[1] / "data/property").unlink()
    command = ["compare", *map(str, both), "--allow", "data/*.rec"]
    assert main(command) == 1
    assert main([*command, "--allow", "data/property", "--allow", "eval/*"]) == 0
    out = capsys.readouterr().out
    assert "allowed:\n  data/property" in out and "8 files" not in out
    assert "--allow eval/*: nothing of that name differs" in out


def test_the_table_shows_the_first_of_many_and_causes_first(both, capsys):
    for folder in both:
        (folder / "eval/list.json").write_text(json.dumps([folder.name] * 30))
        (folder / "data/train.rec").write_text(folder.name)
    command = ["compare", *map(str, both)]
    main(command)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows[1:5]] == [
        "data/train.rec", "eval/list.json:[0]", "eval/list.json:[1]", "eval/list.json:[2]"
    ]  # fmt: skip
    assert rows[5:] == ["  and 27 more: --all lists them", "1 steps, 8 files: 31 differences"]
    main([*command, "--all"])
    assert "eval/list.json:[29]" in capsys.readouterr().out
    main([*command, "--allow", "eval/list.json:*"])
    assert capsys.readouterr().out.endswith("1 differences, 30 allowed\n")


@pytest.mark.parametrize("faults", [("", "exit code 2"), ("exit code 2", "exit code 2")])
def test_a_step_that_failed_proves_nothing(tmp_path, faults):
    folders = [
        made(tmp_path / name, steps={"train": {"fault": fault}})
        for name, fault in zip("ab", faults, strict=True)
    ]
    assert names(compare(*folders)) == ["step train"]


def test_a_step_made_on_one_side_only(tmp_path):
    before = made(tmp_path / "a", steps={"align": {"fault": ""}})
    after = made(tmp_path / "b", steps={"align": {"skipped": "no networks"}})
    assert names(compare(before, after)) == ["step align"]


def test_other_machines_are_noted_and_other_scripts_refused(tmp_path):
    before = made(tmp_path / "a")
    result = compare(before, made(tmp_path / "b", processor="q"))
    assert any(note.startswith("processor: p before, q after") for note in result.notes)
    with pytest.raises(ValueError, match="different versions of tests/unchanged"):
        compare(before, made(tmp_path / "c", script="t"))


def test_a_folder_that_was_not_made_to_its_end_is_refused(both, capsys):
    (both[1] / "made.json").unlink()
    assert main(["compare", *map(str, both)]) == 2
    assert "no made.json: not made, or not to its end" in capsys.readouterr().err


def test_make_refuses_a_folder_that_is_not_empty_and_what_is_no_checkout(both, tmp_path, capsys):
    assert main(["make", str(both[0])]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["make", str(tmp_path / "new"), "--checkout", str(tmp_path)]) == 2
    assert "no setup.py with a package in src/" in capsys.readouterr().err
    assert main(["against", "no-such-revision"]) == 2
    assert "git: fatal: invalid reference: no-such-revision" in capsys.readouterr().err


def test_every_step_is_found_and_waits_for_earlier_ones_only():
    assert len(STEPS) >= 60
    earlier = set()
    for one in STEPS:
        assert set(one.after) <= earlier, one.name
        assert one.name not in earlier
        earlier.add(one.name)
        assert find(one.program, ROOT)


def test_every_command_is_made_or_said_not_to_be():
    """A new command needs a step, or a line here that says why it has none."""
    # Downloads; serves until it is stopped; tells of the machine; takes a published network whole.
    left_out = {"arcface-fetch", "arcface-serve", "arcface-doctor", "arcface-export"}
    assert {one.program for one in STEPS} >= set(console_scripts(ROOT)) - left_out


def test_a_program_that_is_not_there(tmp_path):
    (tmp_path / "setup.py").write_text('"arcface-x = arcface_mxnet.deep.x:main"')
    assert find("arcface-x", tmp_path) == ["arcface_mxnet.deep.x:main"]
    with pytest.raises(ValueError, match="no arcface-y among the console_scripts"):
        find("arcface-y", tmp_path)
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.py").write_text("\ndef main(): ...\n" if folder == "a" else "")
    assert module_named("x", tmp_path) == "arcface_mxnet.a.x"
    (tmp_path / "b" / "x.py").write_text("\ndef main(): ...\n")
    with pytest.raises(ValueError, match="2 scripts x.py"):
        module_named("x", tmp_path)


def test_another_package_than_the_checkouts_makes_nothing(tmp_path):
    (tmp_path / "src").mkdir()
    command = [sys.executable, str(HERE / "server.py"), str(tmp_path / "src")]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "nothing was made" in done.stderr

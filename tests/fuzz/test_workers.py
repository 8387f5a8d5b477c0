"""What is not allowed is found: crashes, hours, gigabytes, tracebacks; and cases come back."""

import ctypes
import os
import signal

import numpy as np
import pytest

from tests.fuzz import workers
from tests.fuzz.mutations import case, num_cuts
from tests.fuzz.table import Reader, fault_of_error
from tests.fuzz.trying import try_reader
from tests.fuzz.workers import allow, faults_of


def found(do, monkeypatch=None):
    """Return the faults of ten cases of which the fourth does something."""

    def judge(number):
        allow(0)
        if number == 3:
            do()
        return ""

    return [(fault.number, fault.what) for fault in faults_of(lambda: judge, range(10))]


def test_nothing_is_found_where_nothing_is_wrong():
    assert found(lambda: None) == []


def test_a_crash_names_its_case_and_the_others_are_tried():
    assert found(lambda: ctypes.string_at(0)) == [(3, "ends in SIGSEGV")]
    assert found(lambda: os.kill(os.getpid(), signal.SIGABRT)) == [(3, "ends in SIGABRT")]
    tried = []
    faults_of(lambda: lambda number: tried.append(number) or "", range(3))
    assert tried == []  # in another process


def spin():
    while True:
        pass


def test_time_and_memory(monkeypatch):
    monkeypatch.setattr(workers, "SECONDS", 1)
    assert found(spin) == [(3, "takes over 1 s")]
    too_much = workers.MEMORY + (64 << 20)
    assert found(lambda: np.empty(too_much, np.uint8)) == [
        (3, "takes over 500 MB and twice the file")
    ]
    assert found(lambda: np.empty(workers.MEMORY // 2, np.uint8)) == []


def test_an_exception_is_a_fault():
    assert found(lambda: {}["x"]) == [(3, "KeyError: 'x'")]
    assert found(lambda: os._exit(0)) == [(3, "ends the process")]


def of(read, is_right=lambda value: True):
    return Reader("one", lambda: {"a.txt": b"1 2 3"}, "a.txt", read, is_right)


def refuse(error):
    def read(folder):
        if (folder / "a.txt").read_bytes() != b"1 2 3":
            raise error

    return read


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("a.txt line 1: wrong"), ""),
        (FileNotFoundError("no list a.txt"), ""),
        (ValueError("wrong"), "names no file"),
        (KeyError("a.txt"), "KeyError"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a.txt"), "UnicodeDecodeError"),
        (OSError(28, "No space left on device", "a.txt"), "OSError"),
        (ValueError("a.txt" + "x" * 10_000), "letters in 1 lines"),
        (ValueError("a.txt: 'utf-8' codec can't decode"), "words of a library"),
    ],
)
def test_which_errors_are_allowed(error, fault):
    assert fault in fault_of_error(error, ["a.txt"])
    faults = try_reader(of(refuse(error)), range(20))
    assert (len(faults) > 10) == bool(fault)


def test_a_wrong_value_is_a_fault():
    read = of(lambda folder: len((folder / "a.txt").read_bytes()), lambda size: size == 5)
    faults = try_reader(read, range(5))
    assert [fault.number for fault in faults] == [0, 1, 2, 3, 4]
    assert faults[0].what == "returns what it does not promise: 0"


def test_a_reader_that_refuses_its_seed_is_told():
    (fault,) = try_reader(of(lambda folder: 0, lambda value: False), range(5))
    assert "one: refuses its seed" in fault.what


def test_cases_are_the_same_every_time_and_cut_at_every_byte():
    seed = bytes(range(100))
    assert num_cuts(seed) == 100
    assert [case(seed, number, "x") for number in range(100)] == [seed[:n] for n in range(100)]
    several = [case(seed, number, "x") for number in range(100, 400)]
    assert several == [case(seed, number, "x") for number in range(100, 400)]
    assert len(set(several)) > 250
    assert several != [case(seed, number, "y") for number in range(100, 400)]

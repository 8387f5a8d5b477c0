"""What is no file, where a reader expects one, is told at once: it is neither waited for nor read
without end."""

from pathlib import Path
import subprocess
import sys

from tests.fuzz import odd_files, workers
from tests.fuzz.table import Reader

ROOT = Path(__file__).parents[2]


def test_every_reader_tells_what_is_no_file():
    command = [sys.executable, "-m", "tests.fuzz.odd_files"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-5]) > 60, "readers were tried"


def test_a_reader_that_waits_or_reads_on_is_found(monkeypatch):
    monkeypatch.setattr(workers, "WALL_SECONDS", 1)

    def read(folder):
        with (folder / "a.txt").open("rb") as file:
            return file.read(1 << 30)

    faults = odd_files.try_odd(Reader("x", lambda: {"a.txt": b"1"}, "a.txt", read, bool))
    found = {list(odd_files.ODD)[fault.number]: fault.what for fault in faults}
    assert found == {
        "a pipe": "hangs for 1 s",
        "a device": "takes over 500 MB and twice the file",
    }

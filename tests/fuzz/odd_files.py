"""Try every reader with what is no file where its file should be: python -m tests.fuzz.odd_files

A folder, a pipe that nobody writes into, a device without end, a link to itself, nothing at all.
Commands (main-..) are tried too where they are named, or with --commands.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import os
from pathlib import Path
import shutil
import sys
import tempfile

from arcface_mxnet import limits
from arcface_mxnet.errors import is_foreseen, words_of

from tests.fuzz.readers import READERS
from tests.fuzz.table import Reader, fault_of_error
from tests.fuzz.trying import SHM, missing, prepare, seed_files, write
from tests.fuzz.workers import Fault, Judge, allow, faults_of

ODD: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "nothing": lambda path: None,
}
# Their bytes come in requests, or by another reader: what opens the file is the test.
NO_FILES = {"photo.jpg", "photo.png", "photo.webp", "photo.bmp", "photo-webp-exif", "form",
            "torch-pickle", "onnx-import", "onnx-weights", "onnx-session", "torch-archive",
            "safetensors", "scores", "embeddings-e.npy"}  # fmt: skip


def try_odd(reader: Reader) -> list[Fault]:
    """Return the faults of a reader; the number of one is the place of its kind in ODD."""
    with tempfile.TemporaryDirectory(prefix="odd-", dir=SHM if SHM.is_dir() else None) as folder:
        return faults_of(lambda: judge_of(reader, Path(folder)), range(len(ODD)))


def judge_of(reader: Reader, folder: Path) -> Judge:
    files = seed_files(reader.files)
    names = [Path(name).name for name in files]
    limits.PATIENCE = 0.05

    def judge(number: int) -> str:
        place = folder / str(number)
        write(place, files)
        path = place / reader.damaged
        path.unlink()
        list(ODD.values())[number](path)
        allow(sum(map(len, files.values())))
        try:
            value = reader.read(place)
        except MemoryError:
            raise
        except Exception as error:
            if is_foreseen(error) and any(name in words_of(error) for name in (*names, str(place))):
                return ""
            fault = fault_of_error(error, names)
            if not fault:
                return ""
            raise AssertionError(fault) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return "" if reader.is_right(value) else f"returns what it does not promise: {value!r:.200}"

    return judge


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--commands", action="store_true")
    args = parser.parse_args(argv)
    names = args.readers or [
        name
        for name in READERS
        if name not in NO_FILES and (args.commands or not name.startswith("main-"))
    ]
    is_faulty, count = False, 0
    for name in names:
        reader = READERS[name]
        if missing(reader.needs):
            continue
        prepare(reader)
        count += 1
        for fault in try_odd(reader):
            is_faulty = True
            print(f"{name}: {list(ODD)[fault.number]}: {fault.what[:400]}", flush=True)
    print(f"{count} readers, {len(ODD)} cases each")
    return int(is_faulty)


if __name__ == "__main__":
    sys.exit(main())

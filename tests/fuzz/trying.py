"""One reader tried with cases: which of them end in what is not allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
import os
from pathlib import Path
import pickle
import shutil
import tempfile
import traceback

from tests.fuzz.mutations import case, num_cuts
from tests.fuzz.table import Reader, fault_of_error
from tests.fuzz.workers import Fault, Judge, allow, faults_of

SRC = Path(__file__).parents[2] / "src"
SHM = Path("/dev/shm")  # in memory, where there is one: millions of small files are written


def missing(needs: Iterable[str]) -> list[str]:
    """Return the modules of these that are not installed."""
    return [name for name in needs if find_spec(name) is None]


def prepare(reader: Reader) -> None:
    """Import what a reader needs, before workers are forked: each would take seconds for it."""
    for name in ("mxnet", *reader.needs):
        if not missing([name]):
            import_module(name)
    for place in reader.covers:
        module = place if source_of(place).is_file() else place.rpartition(".")[0]
        import_module(f"arcface_mxnet.{module}")


def source_of(module: str) -> Path:
    """Return the file of a module of the package, such as "data.images"."""
    return SRC / (module.replace(".", "/") + ".py")


@cache
def seed_files(make: Callable[[], dict[str, bytes]]) -> dict[str, bytes]:
    """Return what Reader.files() makes.

    A process of its own makes them: what computes in threads must not have begun where workers are
    forked.
    """
    with tempfile.NamedTemporaryFile() as file:
        child = os.fork()
        if child == 0:
            try:
                Path(file.name).write_bytes(pickle.dumps(make()))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("the files of a seed could not be made")
        return pickle.loads(Path(file.name).read_bytes())


def cuts_of(reader: Reader) -> int:
    """Return how many of the first cases of a reader cut its file."""
    return num_cuts(seed_files(reader.files)[reader.damaged])


def try_reader(reader: Reader, numbers: Iterable[int]) -> list[Fault]:
    """Return the faults of a reader among these cases."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=SHM if SHM.is_dir() else None) as folder:
        return faults_of(lambda: judge_of(reader, Path(folder)), numbers)


def judge_of(reader: Reader, folder: Path) -> Judge:
    """Return what judges the cases of a reader by their number.  folder: where its files lie.

    Raises AssertionError if the reader does not take its seed.
    """
    files = seed_files(reader.files)
    seed = files[reader.damaged]
    write(folder, files)
    value = reader.read(folder)
    is_well = reader.is_right(value) and not getattr(value, "code", 0)  # of a command: 0
    assert is_well, f"{reader.name}: refuses its seed: {value}"
    path = folder / reader.damaged
    names = [Path(name).name for name in files]

    def judge(number: int) -> str:
        data = case(seed, number, reader.name)
        path.write_bytes(data)
        allow(sum(map(len, files.values())) + len(data))
        try:
            value = reader.read(folder)
        except MemoryError:
            raise
        except Exception as error:
            fault = fault_of_error(error, names)
            if not fault:
                return ""
            raise AssertionError(fault) from error
        return "" if reader.is_right(value) else f"returns what it does not promise: {value!r:.200}"

    return judge


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files of a seed below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def keep(reader: Reader, number: int, folder: Path) -> Path:
    """Write the files of one case below a folder, for a look at it; return the damaged one."""
    files = dict(seed_files(reader.files))
    files[reader.damaged] = case(files[reader.damaged], number, reader.name)
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, files)
    return folder / reader.damaged
